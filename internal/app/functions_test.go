package app

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/artifact"
	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/function"
	"github.com/towline/towline/internal/pipeline"
)

// functionsOf are the functions of a server that has never run, and what it
// logs.
func functionsOf(t *testing.T) (*functions, *bytes.Buffer) {
	t.Helper()
	c, dir := clustersOf(t)
	artifacts, err := artifact.Open(t.Context(), filepath.Join(dir, "artifacts"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = artifacts.Close() })
	var words bytes.Buffer
	log := slog.New(slog.NewTextHandler(&words, nil))
	dir = filepath.Join(dir, "functions")
	runner, err := function.New(function.Config{
		Program: []string{os.Args[0]}, Dir: dir, Code: artifacts, Endpoint: func() string { return "" }, Account: awsAccount, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &functions{store: c.store, keys: c.keys, artifacts: artifacts, runner: runner, dir: dir, now: time.Now, log: log}, &words
}

// codeZip is a zip with one file.
func codeZip(t *testing.T, name string) *bytes.Reader {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	file, err := w.Create(name)
	if err == nil {
		_, err = io.WriteString(file, "#!/bin/sh\n")
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return bytes.NewReader(out.Bytes())
}

var aFunction = client.FunctionRequest{Runtime: "provided.al2023", Memory: 128, Timeout: 3}

func TestChangesOfAFunctionAtOnceAreAllKept(t *testing.T) {
	t.Parallel()
	f, _ := functionsOf(t)
	code := codeZip(t, "bootstrap")
	for round := range 5 {
		name := "f" + strings.Repeat("x", round)
		if _, err := f.Put(t.Context(), name, aFunction, code, code.Size()); err != nil {
			t.Fatal(err)
		}
		var puts sync.WaitGroup
		for _, req := range []client.FunctionRequest{{Description: "it"}, {Memory: 512}, {Timeout: 9}, {Environment: map[string]string{"A": "b"}}} {
			puts.Go(func() {
				if _, err := f.Put(t.Context(), name, req, nil, 0); err != nil {
					t.Error(err)
				}
			})
		}
		puts.Wait()
		got, err := f.Function(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		want := function.Function{Description: "it", Memory: 512, Timeout: 9 * time.Second, Environment: map[string]string{"A": "b"}, Revision: 5}
		got = function.Function{Description: got.Description, Memory: got.Memory, Timeout: got.Timeout, Environment: got.Environment, Revision: got.Revision}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("(-want +got)\n%s", diff)
		}
	}
}

// broken is a zip that cannot be read or written.
type broken struct{ err error }

func (b broken) ReadAt([]byte, int64) (int, error) { return 0, b.err }

func TestOnlyWhatIsWrongWithAZipIsTheUsersMistake(t *testing.T) {
	t.Parallel()
	for what, test := range map[string]struct {
		code io.ReaderAt
		lost bool // the server's directory
		user bool
	}{
		"no zip":                         {code: strings.NewReader(strings.Repeat("x", 1000)), user: true},
		"a file outside":                 {code: codeZip(t, "../bootstrap"), user: true},
		"a name that is too long":        {code: codeZip(t, strings.Repeat("x", 300)), user: true},
		"a full disk":                    {code: broken{syscall.ENOSPC}},
		"a broken disk":                  {code: broken{syscall.EIO}},
		"no directory to unpack it into": {code: codeZip(t, "bootstrap"), lost: true},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			f, _ := functionsOf(t)
			if test.lost {
				f.dir = filepath.Join(f.dir, "lost")
			}
			size := int64(1000)
			if sized, ok := test.code.(*bytes.Reader); ok {
				size = sized.Size()
			}
			_, err := f.Put(t.Context(), "f", aFunction, test.code, size)
			if err == nil {
				t.Fatal("it was kept")
			}
			if _, user := errors.AsType[pipeline.Problems](err); user != test.user {
				t.Errorf("told as the user's: %v, want %v: %v", user, test.user, err)
			}
		})
	}
}

func TestAChangeThatWasKeptSucceedsThoughTheServerCannotTidyUp(t *testing.T) {
	t.Parallel()
	f, words := functionsOf(t)
	if err := os.RemoveAll(filepath.Join(f.dir, "code")); err != nil {
		t.Fatal(err)
	}
	code := codeZip(t, "bootstrap")
	put, err := f.Put(t.Context(), "f", aFunction, code, code.Size())
	if err != nil || put.Revision != 1 {
		t.Errorf("revision %d: %v", put.Revision, err)
	}
	if !strings.Contains(words.String(), "tidy up the functions' code") {
		t.Errorf("the log has %q", words)
	}
}
