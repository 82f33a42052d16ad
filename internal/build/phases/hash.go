package phases

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// Hash is the SHA-256 of all regular files below dir that match one of the
// globs, as hex digits: of their names and what is in them, in the order of the
// names. A glob that begins with ! leaves files out again. It is an error when
// no file matches. This is what codebuild-hash-files prints.
func Hash(dir string, globs []string) (string, error) {
	files, err := matching(dir, globs)
	if err != nil {
		return "", err
	}
	if len(files) == 0 {
		return "", fmt.Errorf("no file matches %s in %s", strings.Join(globs, ", "), dir)
	}
	whole := sha256.New()
	for _, name := range files {
		sum, err := hashFile(filepath.Join(dir, name))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(whole, "%x %s\n", sum, filepath.ToSlash(name))
	}
	return hex.EncodeToString(whole.Sum(nil)), nil
}

// hashFiles is codebuild-hash-files: it prints the hash of files of the source.
func hashFiles(globs []string, out, errs io.Writer) int {
	dir := cmp.Or(os.Getenv("CODEBUILD_SRC_DIR"), ".")
	if len(globs) == 0 {
		fmt.Fprintln(errs, HashFiles+": name the files, such as package-lock.json or '**/*.gradle'")
		return 2
	}
	hash, err := Hash(dir, globs)
	if err != nil {
		fmt.Fprintf(errs, "%s: %v\n", HashFiles, err)
		return 1
	}
	fmt.Fprintln(out, hash)
	return 0
}

// globSearch is codebuild-glob-search: it prints the files of the directory in
// which it runs, one a line.
func globSearch(globs []string, out, errs io.Writer) int {
	files, err := matching(".", globs)
	if err != nil {
		fmt.Fprintf(errs, "%s: %v\n", GlobSearch, err)
		return 1
	}
	for _, name := range files {
		fmt.Fprintln(out, filepath.ToSlash(name))
	}
	return 0
}

// matching are the files by their names relative to dir, sorted.
func matching(dir string, globs []string) ([]string, error) {
	found := map[string]bool{}
	for _, glob := range globs {
		glob, without := strings.CutPrefix(glob, "!")
		pattern := glob
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(escape(dir), glob)
		}
		names, err := doublestar.FilepathGlob(pattern, doublestar.WithFilesOnly(), doublestar.WithNoFollow())
		if err != nil {
			return nil, fmt.Errorf("%q is not a pattern for files: %w", glob, err)
		}
		for _, name := range names {
			relative, err := filepath.Rel(dir, name)
			if err != nil {
				return nil, err
			}
			found[relative] = !without
		}
	}
	var files []string
	for name, in := range found {
		if in {
			files = append(files, name)
		}
	}
	slices.Sort(files)
	return files, nil
}

// escape makes a path a pattern that matches it alone.
func escape(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `{`, `\{`).Replace(path)
}

func hashFile(path string) ([]byte, error) {
	// Asked before it is opened: a named pipe would wait for a writer.
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return h.Sum(nil), nil
}
