package box_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/towline/towline/internal/box"
)

func TestRecordsAreThereWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	type note struct{ Text string }
	var got note
	if ok, err := box.ReadRecord(dir, "note.json", &got); ok || err != nil {
		t.Errorf("what is not there: %v, %v", ok, err)
	}
	for text, write := range map[string]func(dir, name string, what any) error{"kept": box.WriteRecord, "passed": box.PassRecord} {
		if err := write(dir, "note.json", note{text}); err != nil {
			t.Fatal(err)
		}
		if ok, err := box.ReadRecord(dir, "note.json", &got); !ok || err != nil || got.Text != text {
			t.Errorf("%v, %v, %+v", ok, err, got)
		}
		info, err := os.Stat(filepath.Join(dir, "note.json"))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v may read it, %v", info.Mode(), err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left are %v, %v", left, err)
	}
	for text, isError := range map[string]bool{"": false, "{": true} { // cut by a crash, or written by somebody else
		if err := os.WriteFile(filepath.Join(dir, "cut.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if ok, err := box.ReadRecord(dir, "cut.json", &got); ok || (err != nil) != isError || err != nil && !strings.Contains(err.Error(), "cut.json") {
			t.Errorf("%q: %v, %v", text, ok, err)
		}
	}
}

func TestATreeIsRemovedWhoseDirectoriesAreReadOnly(t *testing.T) {
	t.Parallel()
	tree := filepath.Join(t.TempDir(), "tree")
	inner := filepath.Join(tree, "a", "b")
	err := errors.Join(os.MkdirAll(inner, 0o755), os.WriteFile(filepath.Join(inner, "file"), nil, 0o400), os.Chmod(inner, 0o500), os.Chmod(filepath.Dir(inner), 0o500))
	if err := errors.Join(err, box.RemoveAll(tree)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(tree); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
