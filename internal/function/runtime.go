package function

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// provided is the runtime of code that brings its own program, bootstrap.
const provided = "provided"

// kind is a family of runtimes: those of one language.
type kind struct {
	name    string         // without a version
	pattern *regexp.Regexp // of its runtimes' names
	handler *regexp.Regexp
	example string   // of a handler
	program []string // that run it, the first that is there; "%s" is the version
	install string   // what to do when none is there
}

// kinds are all families of runtimes. Versions are not compared with AWS's
// list: the machine has the version that it has, and the log says which.
var kinds = []kind{
	{
		name: provided, pattern: regexp.MustCompile(`^provided(\.al2|\.al2023)?$`), handler: regexp.MustCompile(`.`),
		example: "bootstrap",
	},
	{
		name: "python", pattern: regexp.MustCompile(`^python(3(?:\.[0-9x]{1,2})?)$`), handler: regexp.MustCompile(`^[\w./-]+\.\w+$`),
		example: "FILE.FUNCTION, such as app.handler", program: []string{"python%s", "python3"},
		install: "install Python 3 (package python3) where every user can run it",
	},
	{
		name: "nodejs", pattern: regexp.MustCompile(`^nodejs([0-9]{1,2})(?:\.x)?$`), handler: regexp.MustCompile(`^[\w./-]+\.\w+$`),
		example: "FILE.FUNCTION, such as index.handler", program: []string{"node%s", "node", "nodejs"},
		install: "install Node.js (package nodejs) where every user can run it",
	},
	{
		name: "java", pattern: regexp.MustCompile(`^java([0-9]{1,2})(?:\.al2)?$`), handler: regexp.MustCompile(`^[\w.$]+(::\w+)?$`),
		example: "PACKAGE.CLASS or PACKAGE.CLASS::METHOD, such as com.example.App::handleRequest", program: []string{"java"},
		install: "install Java 17 or later (package default-jre-headless) where every user can run it",
	},
}

// Runtimes are the names that runtimes have without asking for a version that
// this machine may not have.
func Runtimes() []string {
	return []string{"provided.al2023", "python3.x", "java17", "nodejs20"}
}

// kindOf finds the family of a runtime.
func kindOf(runtime string) (kind, bool) {
	for _, k := range kinds {
		if k.pattern.MatchString(runtime) {
			return k, true
		}
	}
	return kind{}, false
}

// find finds the program of a runtime that the given user can run; -1 stands
// for this process's own.
func (k kind) find(runtime, path, javaHome string, uid int) (string, error) {
	version := ""
	if found := k.pattern.FindStringSubmatch(runtime); len(found) > 1 {
		version = found[1]
	}
	dirs := filepath.SplitList(path)
	if k.name == "java" && javaHome != "" {
		dirs = append([]string{filepath.Join(javaHome, "bin")}, dirs...)
	}
	// Where an administrator has put it is looked at last, for a server with a
	// short search path.
	dirs = append(dirs, "/usr/local/bin", "/usr/bin")
	for _, name := range k.program {
		name = strings.ReplaceAll(name, "%s", version)
		for _, dir := range dirs {
			program := filepath.Join(dir, name)
			if _, err := exec.LookPath(program); filepath.IsAbs(program) && err == nil && within(program, uid) {
				return program, nil
			}
		}
	}
	return "", fmt.Errorf("runtime %s needs the program %s, which is not on this machine, or which the functions' users cannot reach: %s", runtime, strings.ReplaceAll(k.program[0], "%s", version), k.install)
}

// within tells whether a user may pass to a program: through each directory
// above it and above what links lead to.
func within(program string, uid int) bool {
	if uid < 0 {
		return true
	}
	target, err := filepath.EvalSymlinks(program)
	if err != nil {
		return false
	}
	for _, path := range []string{program, target} {
		for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
			info, err := os.Stat(dir)
			if err != nil || info.Mode().Perm()&0o001 == 0 {
				return false
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	info, err := os.Stat(target)
	return err == nil && info.Mode().Perm()&0o005 == 0o005
}

// command is the command line that runs a handler, in a directory of shims.
func (k kind) command(program, shims, code, handler string) []string {
	switch k.name {
	case "python":
		return []string{program, "-u", filepath.Join(shims, "shim.py"), handler}
	case "nodejs":
		return []string{program, filepath.Join(shims, "shim.mjs"), handler}
	case "java":
		classes := strings.Join([]string{filepath.Join(shims, "shim.jar"), code, filepath.Join(code, "lib", "*")}, string(filepath.ListSeparator))
		// A function lives for one invocation: what starts quickly beats what
		// runs fast after a while.
		return []string{program, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-cp", classes, "towline.Shim", handler}
	}
	return []string{filepath.Join(code, "bootstrap")}
}
