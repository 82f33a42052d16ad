//go:build linux

package phases

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// driver is the loop that the one shell of a build runs. It reads the name of a
// file with a command from descriptor 3, runs it in this very shell, so that
// variables, functions and the directory stay, and writes the exit code to
// descriptor 4. The commands do not get these descriptors. When a command ends
// the shell itself (exit, set -e), the trap keeps what the next shell can take
// over: the exported variables, with PWD among them.
const driver = `trap 'export -p >%[1]s' EXIT
if [ -s %[1]s ]; then . %[1]s; cd "$PWD"; fi
while { IFS= read -r TOWLINE_COMMAND <&3; } 2>/dev/null; do
	case $TOWLINE_COMMAND in
	run*) . "${TOWLINE_COMMAND#run }" 3<&- 4>&- ;;
	ask*) . "${TOWLINE_COMMAND#ask }" ;;
	esac
	{ echo $? >&4; } 2>/dev/null
done
trap - EXIT
`

// termWithin is how long processes get between SIGTERM and SIGKILL when a build
// is ended before its time.
const termWithin = 2 * time.Second

// shell runs the commands of a build one after another. A shell that a command
// has ended is replaced by the next one.
type shell struct {
	program string
	dir     string // where it begins, and where its state is written
	control string // for the command files
	state   string // what one shell leaves for the next
	env     map[string]string
	account account
	output  *os.File
	start   func(*exec.Cmd) error

	files int // number of command files so far
	live  *liveShell
}

// liveShell is the process.
type liveShell struct {
	cmd      *exec.Cmd
	requests *os.File
	statuses *os.File
	answers  *bufio.Reader
	exited   chan struct{} // closed when the process has ended
}

// begin starts the process.
func (s *shell) begin() error {
	program, err := exec.LookPath(s.program)
	if err != nil {
		return fmt.Errorf("there is no shell %q on this machine; install it, or name another one as env.shell", s.program)
	}
	requestsRead, requestsWrite, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start the shell: %w", err)
	}
	defer requestsRead.Close()
	statusRead, statusWrite, err := os.Pipe()
	if err != nil {
		_ = requestsWrite.Close()
		return fmt.Errorf("start the shell: %w", err)
	}
	defer statusWrite.Close()
	cmd := exec.Command(program, "-c", fmt.Sprintf(driver, quote(s.state)))
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, s.output, s.output
	for name, value := range s.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.ExtraFiles = []*os.File{requestsRead, statusWrite}
	cmd.SysProcAttr = s.account.group()
	start := s.start
	if start == nil {
		start = (*exec.Cmd).Start
	}
	if err := start(cmd); err != nil {
		return errors.Join(fmt.Errorf("start the shell: %w", err), requestsWrite.Close(), statusRead.Close())
	}
	l := &liveShell{cmd: cmd, requests: requestsWrite, statuses: statusRead, answers: bufio.NewReader(statusRead), exited: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // ProcessState says it all
		// Nobody answers any more, whoever holds the other end.
		_ = statusRead.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		close(l.exited)
	}()
	s.live = l
	return nil
}

// Group are the attributes of a process group of its own, under the build's user;
// -1 is this process's own. It is a session too: the kernel shares the processors
// among sessions, so that a fork bomb leaves some to who ends it.
func Group(user int) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setsid: true}
	if user >= 0 {
		a.Credential = &syscall.Credential{Uid: uint32(user), Gid: uint32(user)}
	}
	return a
}

// run runs a command and returns its exit code. An error is a fault, or that of
// ctx, and then the shell has ended.
func (s *shell) run(ctx context.Context, command string) (int, error) {
	status, _, err := s.request(ctx, "run", command, 0)
	return status, err
}

// ask runs a command whose answer comes on descriptor 4: so many texts, each
// ended by a NUL byte.
func (s *shell) ask(ctx context.Context, command string, answers int) ([]string, error) {
	_, texts, err := s.request(ctx, "ask", command, answers)
	return texts, err
}

func (s *shell) request(ctx context.Context, verb, command string, answers int) (int, []string, error) {
	if s.live == nil {
		if err := s.begin(); err != nil {
			return 0, nil, err
		}
	}
	s.files++
	file := filepath.Join(s.control, strconv.Itoa(s.files)+".sh")
	if err := os.WriteFile(file, []byte(command+"\n"), 0o644); err != nil { //nolint:gosec // the build's user reads it
		return 0, nil, fmt.Errorf("write the command: %w", err)
	}
	l := s.live
	unwatch := context.AfterFunc(ctx, func() { l.end() })
	defer unwatch()
	// A shell that has ended does not read; its status is what counts then.
	_, _ = fmt.Fprintf(l.requests, "%s %s\n", verb, file)
	texts, status, err := l.answer(answers)
	if ctx.Err() != nil {
		l.end()
		s.close()
		return 0, nil, context.Cause(ctx)
	}
	if err != nil {
		<-l.exited
		status = exitCode(l.cmd.ProcessState)
		s.close()
	}
	return status, texts, nil
}

// answer reads the texts and the status of a request.
func (l *liveShell) answer(texts int) ([]string, int, error) {
	var answers []string
	for range texts {
		text, err := l.text()
		if err != nil {
			return nil, 0, err
		}
		answers = append(answers, text)
	}
	line, err := l.answers.ReadString('\n')
	if err != nil {
		return nil, 0, err
	}
	status, err := strconv.Atoi(strings.TrimSpace(line))
	return answers, status, err
}

// longestAnswer bounds the value of a variable.
const longestAnswer = 64 << 10

func (l *liveShell) text() (string, error) {
	var text []byte
	for {
		c, err := l.answers.ReadByte()
		if err != nil {
			return "", err
		}
		if c == 0 {
			return string(text), nil
		}
		if len(text) < longestAnswer {
			text = append(text, c)
		}
	}
}

// end ends the shell and what it runs, with a moment for cleaning up.
func (l *liveShell) end() {
	select {
	case <-l.exited:
		return
	default:
	}
	_ = unix.Kill(-l.cmd.Process.Pid, unix.SIGTERM)
	select {
	case <-l.exited:
	case <-time.After(termWithin):
		_ = unix.Kill(-l.cmd.Process.Pid, unix.SIGKILL)
		<-l.exited
	}
}

// close lets the shell end by itself; the next command starts another.
func (s *shell) close() {
	if s.live == nil {
		return
	}
	_ = s.live.requests.Close()
	select {
	case <-s.live.exited:
	case <-time.After(termWithin): // a trap of the user's
		s.live.end()
	}
	_ = s.live.statuses.Close()
	s.live = nil
}

// leave ends the shell, which leaves its exported variables and its directory
// for the next one.
func (s *shell) leave(ctx context.Context) error {
	if s.live == nil {
		return nil
	}
	_, err := s.run(ctx, "export -p >"+quote(s.state))
	s.close()
	return err
}

// exitCode is the code as a shell shows it.
func exitCode(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return state.ExitCode()
}

// quote makes text one word for a shell.
func quote(text string) string {
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// expanding are the commands that answer with texts in which the shell has
// replaced variables and commands.
func expanding(texts []string) string {
	var script strings.Builder
	for _, t := range texts {
		// In a here-document quotes are plain characters, and variables are not.
		fmt.Fprintf(&script, "printf '%%s\\0' \"$(cat <<TOWLINE 4>&-\n%s\nTOWLINE\n)\" >&4\n", t)
	}
	return script.String()
}

// values returns the values of variables and the texts with their variables
// replaced, in that order.
func (s *shell) values(ctx context.Context, variables, texts []string) (map[string]string, []string, error) {
	var script strings.Builder
	for _, v := range variables {
		fmt.Fprintf(&script, "printf '%%s\\0' \"${%s-}\" >&4\n", v)
	}
	script.WriteString(expanding(texts))
	answers, err := s.ask(ctx, script.String(), len(variables)+len(texts))
	if err != nil {
		return nil, nil, err
	}
	if len(answers) != len(variables)+len(texts) {
		return nil, slices.Clone(texts), nil // the shell could not read a text
	}
	values := map[string]string{}
	for i, v := range variables {
		values[v] = answers[i]
	}
	return values, answers[len(variables):], nil
}
