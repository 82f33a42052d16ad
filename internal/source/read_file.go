package source

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// MaxRead is the size, in bytes, of the largest file that ReadFile returns.
const MaxRead = 4 << 20

// ReadFile returns a file of a commit by its slash-separated path, following
// symbolic links that stay in the tree. The error is of kind ErrNoFile,
// ErrNoRevision, ErrNoRepository, ErrTooLarge or ErrInvalid when it is the
// caller's or the commit's.
func (r *Repositories) ReadFile(ctx context.Context, name, commit, path string) ([]byte, error) {
	if err := r.requireCommit(ctx, name, commit); err != nil {
		return nil, err
	}
	// git takes one object a line, so a line break would ask for two.
	if !fs.ValidPath(path) || strings.ContainsAny(path, "\n\x00") {
		return nil, &Error{Kind: ErrInvalid, Message: fmt.Sprintf("%.200q cannot be the path of a file in a repository", path),
			Hint: "write it relative to the top, with slashes and without . and .."}
	}
	out := &head{limit: MaxRead + 1<<12}
	err := r.run(ctx, command{
		name:   name,
		args:   []string{"cat-file", "--batch", "--follow-symlinks"},
		stdin:  strings.NewReader(commit + ":" + path + "\n"),
		stdout: out,
	})
	if err != nil {
		return nil, fmt.Errorf("read %s at %.7s of repository %s: %w", path, commit, name, err)
	}
	return parseObject(out.kept.Bytes(), name, commit, path)
}

// parseObject takes apart what git cat-file --batch says of one object:
// "HASH blob SIZE", a line break, the bytes and another line break; or a word
// about why there is none.
func parseObject(out []byte, name, commit, path string) ([]byte, error) {
	in := bufio.NewReader(bytes.NewReader(out))
	header, _ := in.ReadString('\n')
	fields := strings.Fields(header)
	where := fmt.Sprintf("%s at %.7s of repository %s", path, commit, name)
	if len(fields) != 3 || !isHash(fields[0]) {
		why := "there is no file "
		switch {
		case strings.HasPrefix(header, "symlink "):
			why = "a symbolic link leads out of the repository: "
		case strings.HasPrefix(header, "loop "):
			why = "symbolic links lead in a circle: "
		}
		return nil, &Error{Kind: ErrNoFile, Message: why + where}
	}
	if fields[1] != "blob" {
		return nil, &Error{Kind: ErrNoFile, Message: "this is a directory, not a file: " + where}
	}
	size, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil {
		return nil, fmt.Errorf("read %s: git says size %.40q", where, fields[2])
	}
	if size > MaxRead {
		return nil, &Error{Kind: ErrTooLarge, Message: fmt.Sprintf("%s has %d bytes, more than the %d that can be read", where, size, MaxRead)}
	}
	data := out[len(header):]
	if int64(len(data)) < size {
		return nil, fmt.Errorf("read %s: git gave %d of %d bytes", where, len(data), size)
	}
	return data[:size:size], nil
}
