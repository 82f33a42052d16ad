package source

import (
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/pipeline"
)

func TestRevision(t *testing.T) {
	t.Parallel()
	s := setup(t, nil, nil)
	c := work(t, s.create(t, "web"))
	first := c.git("rev-parse", "HEAD")
	second := c.commit("README", "hi\n", "Greet in French\n\nBecause we can.")
	c.git("tag", "--annotate", "--message", "one", "v1", first)
	c.git("tag", "main", first)
	c.git("branch", "feature/x", first)
	c.git("push", "origin", "refs/heads/*", "refs/tags/*")

	french := pipeline.Revision{
		Repository: "web", Commit: second, Message: "Greet in French", Author: "Ada",
		Time: time.Date(2024, 5, 6, 5, 8, 9, 0, time.UTC),
	}
	hello := french
	hello.Commit, hello.Message = first, "Say hello"
	on := func(rev pipeline.Revision, branch string) pipeline.Revision {
		rev.Branch = branch
		return rev
	}
	for ref, want := range map[string]pipeline.Revision{
		"":                on(french, "main"),
		"HEAD":            on(french, "main"),
		"main":            on(french, "main"), // the tag of that name points elsewhere
		"refs/heads/main": on(french, "main"),
		"refs/tags/main":  hello,
		"feature/x":       on(hello, "feature/x"),
		"v1":              hello,
		first:             hello,
		second[:7]:        french,
	} {
		t.Run("found as "+ref, func(t *testing.T) {
			t.Parallel()
			got := must[pipeline.Revision](t)(s.Revision(t.Context(), "web", ref))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("revision (-want +got):\n%s", diff)
			}
		})
	}

	blob := c.git("rev-parse", "HEAD:README")
	for _, ref := range []string{"nothing", "refs/heads/nothing", strings.Repeat("0", 40), strings.Repeat("1", 40), blob, "abcdef1", "refs/nothing"} {
		t.Run("not found as "+ref, func(t *testing.T) {
			t.Parallel()
			_, err := s.Revision(t.Context(), "web", ref)
			wantKind(t, err, ErrNoRevision)
			wantKind(t, err, ErrNotFound)
		})
	}
	for _, ref := range []string{"--help", "main~1", "main^", ":/Say", "main:README", "@{-1}", "@", "a..b", "a b", "a\nb", "/x", "x.lock", "main^{tree}", strings.Repeat("x", 300)} {
		t.Run("refused as "+ref, func(t *testing.T) {
			t.Parallel()
			_, err := s.Revision(t.Context(), "web", ref)
			wantKind(t, err, ErrInvalid)
		})
	}

	t.Run("of an unknown repository is not found", func(t *testing.T) {
		t.Parallel()
		_, err := s.Revision(t.Context(), "shop", "main")
		wantKind(t, err, ErrNoRepository)
	})

	t.Run("ancestry is told in both directions", func(t *testing.T) {
		t.Parallel()
		if !must[bool](t)(s.IsAncestor(t.Context(), "web", first, second)) || must[bool](t)(s.IsAncestor(t.Context(), "web", second, first)) {
			t.Error("IsAncestor is wrong")
		}
		_, err := s.IsAncestor(t.Context(), "web", first, strings.Repeat("1", 40))
		wantKind(t, err, ErrNoRevision)
	})
}

func TestRevisionOfAnOddCommit(t *testing.T) {
	t.Parallel()
	s := setup(t, nil, nil)
	c := work(t, s.create(t, "web"))
	tree := c.git("rev-parse", "HEAD^{tree}")
	commit := c.object("commit", "tree "+tree+"\n"+
		"author M\xfcller \x1b[2J <m@example.com> 99999999999999 +0000\n"+
		"committer x <x@example.com> 1 +0000\n\n"+
		"first\tline \xff\xfe\x1b[31m\nstill the subject\u202e "+strings.Repeat("\u00e9", 2000)+"\n\nbody\n")
	c.git("push", "origin", commit+":refs/heads/main")
	got := must[pipeline.Revision](t)(s.Revision(t.Context(), "web", "main"))
	if got.Author != "M\ufffdller  [2J" {
		t.Errorf("author %q", got.Author)
	}
	if !strings.HasPrefix(got.Message, "first line \ufffd\ufffd [31m still the subject ") || !strings.HasSuffix(got.Message, "...") || len(got.Message) > maxSubject {
		t.Errorf("message of %d bytes %q", len(got.Message), got.Message)
	}
	if got.Time.Year() != 9999 {
		t.Errorf("time %v", got.Time)
	}
	if _, err := got.Time.MarshalJSON(); err != nil {
		t.Error(err)
	}
}

func FuzzClean(f *testing.F) {
	f.Add("hello")
	f.Add("a\x1b[31m\n\xffb\u202e")
	f.Add(strings.Repeat("\u00e9", 3000))
	f.Fuzz(func(t *testing.T, s string) {
		got := clean(s)
		if !utf8.ValidString(got) || len(got) > maxSubject || strings.ContainsFunc(got, unicode.IsControl) {
			t.Errorf("clean(%q) = %q", s, got)
		}
		if again := clean(got); again != got {
			t.Errorf("clean(%q) = %q, and once more %q", s, got, again)
		}
	})
}

func FuzzCheckRef(f *testing.F) {
	for _, seed := range []string{"main", "refs/heads/a", "-x", "a..b", "a~1", "@{u}", "a.lock", "v1^{}", ":/x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, ref string) {
		if checkRef(ref) != nil {
			return
		}
		if strings.HasPrefix(ref, "-") || strings.ContainsAny(ref, "\x00\n ~^:?*[\\") || strings.Contains(ref, "..") || strings.Contains(ref, "@{") {
			t.Errorf("%q passes", ref)
		}
		for _, c := range candidates(ref) {
			if strings.HasPrefix(c.rev, "-") {
				t.Errorf("%q is read as the option %q", ref, c.rev)
			}
		}
	})
}

func FuzzParseUpdates(f *testing.F) {
	zeros, ones := strings.Repeat("0", 40), strings.Repeat("1", 40)
	f.Add(zeros + " " + ones + " refs/heads/main\n")
	f.Add(ones + " " + zeros + " refs/tags/v1\n" + ones + " " + ones + " refs/heads/x\n")
	f.Add("x y z\n")
	f.Fuzz(func(t *testing.T, in string) {
		updates, err := parseUpdates(strings.NewReader(in))
		if err != nil {
			return
		}
		for _, u := range updates {
			if !strings.HasPrefix(u.Ref, "refs/") || u.Old != "" && !isHash(u.Old) || u.New != "" && !isHash(u.New) {
				t.Errorf("%q gives %+v", in, u)
			}
		}
	})
}
