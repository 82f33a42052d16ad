package redact_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"math/rand/v2"
	"net/url"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/redact"
)

const key = "-----BEGIN PRIVATE KEY-----\nMIIBVgIBADANBgkqhkiG9w0BAQEFAASCAUAwggE8AgEAAkEAq7BFUpkGp3+LQmlQ\nYx2eqzDV+xeG8kx/sQFV18S5JhzGeIJNA72wSeukEPojtqUyX2J0CciPBh7eqclQ\n2zpAswIDAQABAkAgisq4\n-----END PRIVATE KEY-----\n"

func TestStringMasks(t *testing.T) {
	t.Parallel()
	const password = "s3cr?t/pass&word+1"
	for name, c := range map[string]struct{ value, text, want string }{
		"the value":                       {password, "psql " + password + " web", "psql *** web"},
		"the value at both ends":          {password, password, "***"},
		"two in a row as one":             {password, password + password, "***"},
		"an URL":                          {password, "postgres://web:" + url.QueryEscape(password) + "@db", "postgres://web:***@db"},
		"an URL in lower case":            {password, "postgres://web:s3cr%3ft%2fpass%26word%2b1@db", "postgres://web:***@db"},
		"an URL's path":                   {password, "/" + url.PathEscape(password) + "/x", "/***/x"},
		"JSON":                            {"a\"b\\c<d", `{"p":"a\"b\\c<d"}`, `{"p":"***"}`},
		"JSON that is safe in HTML":       {"a\"b\\c<d", `{"p":"a\"b\\c\u003cd"}`, `{"p":"***"}`},
		"HTML":                            {"a\"b'c<d", html.EscapeString("a\"b'c<d"), "***"},
		"XML":                             {"a\"b'c<d", "a&quot;b&apos;c&lt;d", "***"},
		"the trace of bash":               {"it's secret", `+ echo 'it'\''s secret'`, `+ echo '***'`},
		"the trace of dash":               {"it's secret", `+ echo 'it'"'"'s secret'`, `+ echo '***'`},
		"base64":                          {password, base64.StdEncoding.EncodeToString([]byte(password)) + " ", "*** "},
		"base64 for URLs":                 {"\xff\xfe\xfd?>~", base64.URLEncoding.EncodeToString([]byte("\xff\xfe\xfd?>~")), "***"},
		"lines that are folded":           {password, "s3cr?t/p\nass&word+1\n", "***\n***\n"},
		"lines of Windows":                {"first line\nsecond line", "first line\r\nsecond line\r\n", "***\r\n***\r\n"},
		"one line of several":             {"first line\nsecond line", "x second line x", "x *** x"},
		"several lines in one":            {"a b\nc d\ne f", "echo a b c d e f", "echo ***"},
		"lines that are short, as one":    {"a b\nc d\ne f", "a b\nc d\ne f\n", "***\n***\n***\n"},
		"short lines by themselves never": {"a b\nc d\ne f", "c d", "c d"},
		"the value without its own ends":  {" \n" + password + "\n", password, "***"},
		"the beginning alone never":       {password, "s3cr", "s3cr"},
		"of a long value each half":       {strings.Repeat("0123456789abcdef", 16), "x" + strings.Repeat("0123456789abcdef", 8) + "x", "x***x"},
		"no empty value":                  {" \n", "a b", "a b"},
		"no short value":                  {"abc", "abcabc", "abcabc"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redact.New(c.value)
			if diff := cmp.Diff(c.want, s.String(c.text)); diff != "" {
				t.Error("(-want +got)\n", diff)
			}
			if s.Holds(c.text) != (c.want != c.text) {
				t.Error("Holds says otherwise")
			}
		})
	}
}

func TestSecretsThatOverlapAreMaskedWhole(t *testing.T) {
	t.Parallel()
	s := redact.New("token", "token-of-the-registry", "registry/web", "abcd", "cdef")
	if got := s.String("-p token-of-the-registry/web abcdef token"); got != "-p *** *** ***" {
		t.Errorf("got %q", got)
	}
}

func TestHideSaysWhatIsTooShort(t *testing.T) {
	t.Parallel()
	var s redact.Secrets
	for value, want := range map[string]bool{"": true, "\n": true, "abc": false, "abc\n": false, "a\nbc": false, "abcd": true} {
		if got := s.Hide(value); got != want {
			t.Errorf("Hide(%q) is %t", value, got)
		}
	}
	var none *redact.Secrets
	if none.String("abcd") != "abcd" || none.Holds("abcd") {
		t.Error("no secrets mask something")
	}
}

// TestBase64OfTheSystem has base64 itself print a secret within other text, at
// every alignment and in lines of several widths.
func TestBase64OfTheSystem(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("base64")
	if err != nil {
		t.Fatal("the program base64 is missing: install coreutils")
	}
	for _, secret := range []string{"pa55-w0rd-of-web", key} {
		s := redact.New(secret)
		for before := range 6 {
			for _, width := range []string{"0", "10", "64", "76"} {
				cmd := exec.CommandContext(t.Context(), program, "-w", width)
				cmd.Stdin = strings.NewReader(strings.Repeat("x", before) + secret + "and more")
				out, err := cmd.Output()
				if err != nil {
					t.Fatal(err)
				}
				// Of the characters at both ends some bits belong to what is
				// beside the secret.
				shown := strings.ReplaceAll(strings.ReplaceAll(s.String(string(out)), "\n", ""), redact.Mask, "")
				if most := (before+len("and more"))*4/3 + 6; len(shown) > most {
					t.Errorf("%d bytes before, lines of %s: %d characters are shown, at most %d may be:\n%s", before, width, len(shown), most, s.String(string(out)))
				}
			}
		}
	}
}

// stream writes a text in pieces of the given sizes; after each of size 0 what
// is held back is shown.
func stream(s *redact.Secrets, text string, sizes []byte) string {
	w := redact.NewStream(s)
	var out []byte
	for i := 0; len(text) > 0; i++ {
		size := len(text)
		if i < len(sizes) {
			size = min(int(sizes[i]), size)
		}
		if size == 0 {
			out = w.Flush(out)
			continue
		}
		out = w.Append(out, []byte(text[:size]))
		text = text[size:]
	}
	return string(w.Flush(out))
}

func TestStreamGivesTheSameHoweverTheTextIsCut(t *testing.T) {
	t.Parallel()
	s := redact.New("s3cret-of-web", key)
	text := strings.Repeat("a line\nand s3cret-of-web, s3cret-of-s3cret-of-web\r\n\n"+key+"\tthe end\n", 20)
	want := s.String(text)
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 1))
		sizes := make([]byte, 5000)
		for i := range sizes {
			sizes[i] = byte(1 + r.IntN(1+int(seed)%90))
		}
		if diff := cmp.Diff(want, stream(s, text, sizes)); diff != "" {
			t.Fatalf("seed %d (-want +got)\n%s", seed, diff)
		}
	}
}

func TestStreamShowsCompleteLinesAtOnce(t *testing.T) {
	t.Parallel()
	w := redact.NewStream(redact.New("s3cret-of-web", key))
	for _, c := range []struct{ write, want string }{
		{"a line\n", "a line\n"},
		{"ends like s3c\n", "ends like s3c\n"}, // too little to wait for
		{"half ", "ha"},
		{"a line\n", "lf a line\n"},
		{"maybe s3cret-\n", "maybe "}, // this could go on
		{"of-web\n", "***\n***\n"},
		{"s3cret-\n", ""},
		{"of-us\n", "s3cret-\nof-us\n"},
	} {
		if got := string(w.Append(nil, []byte(c.write))); got != c.want {
			t.Errorf("after %q it shows %q, want %q", c.write, got, c.want)
		}
	}
}

func TestStreamMasksTheBeginningThatItMustShow(t *testing.T) {
	t.Parallel()
	w := redact.NewStream(redact.New("s3cret-of-web"))
	out := w.Append(nil, []byte("it is s3cret"))
	out = append(w.Flush(out), "[build] $ next\n"...)
	out = w.Append(out, []byte("-of-web, all\n"))
	if diff := cmp.Diff("it is ***[build] $ next\n***, all\n", string(out)); diff != "" {
		t.Error("(-want +got)\n", diff)
	}
}

// written are the forms in which the fuzz test prints a secret.
var written = []func(secret, before, after string) (text, gives string){
	func(secret, before, after string) (string, string) { return before + secret + after, secret },
	func(secret, before, after string) (string, string) {
		text := base64.StdEncoding.EncodeToString([]byte(before + secret + after))
		return text, text[(8*len(before)+5)/6 : 8*(len(before)+len(secret))/6]
	},
	func(secret, before, after string) (string, string) {
		text := base64.URLEncoding.EncodeToString([]byte(before + secret + after))
		return text, text[(8*len(before)+5)/6 : 8*(len(before)+len(secret))/6]
	},
	func(secret, before, after string) (string, string) {
		return before + url.QueryEscape(secret) + after, url.QueryEscape(secret)
	},
	func(secret, before, after string) (string, string) {
		text, _ := json.Marshal(secret)
		return before + string(text) + after, strings.Trim(string(text), `"`)
	},
	func(secret, before, after string) (string, string) { // in columns
		var text strings.Builder
		for i := 0; i < len(secret); i += 7 {
			text.WriteString(secret[i:min(i+7, len(secret))] + "\r\n")
		}
		return before + text.String() + after, secret
	},
}

// FuzzNothingGetsOut writes a secret in some form, cut in any places, with what
// is held back demanded in any places, and other secrets that overlap with it.
func FuzzNothingGetsOut(f *testing.F) {
	for form := range written {
		f.Add("s3cret-of-web", "it is ", " and more\n", []byte{3, 0, 9, 1, 0, 1}, byte(form), 5)
		f.Add(key, "x", "\n", []byte{40, 0, 0, 1, 60}, byte(form), 90)
		f.Add("aaaaaaaa", "aaa", "aaaa", []byte{1, 1, 0, 1, 1, 1, 0, 1}, byte(form), 0)
		f.Add("abab\nabab", "ab", "ab\n", []byte{1, 2, 0, 3}, byte(form), 3)
	}
	f.Fuzz(func(t *testing.T, secret, before, after string, cuts []byte, form byte, other int) {
		secret = strings.TrimSpace(secret)
		secret = strings.Trim(secret, "\r\n")
		if strings.Contains(secret+before+after, "*") || len(secret) > 4<<10 {
			return // what the mask itself looks like
		}
		s := redact.New(secret)
		if other > 0 && other < len(secret) {
			s.Hide(secret[other/2 : other])
			s.Hide(before + secret[:other])
		}
		text, gives := written[int(form)%len(written)](secret, before, after)
		gives = strings.NewReplacer("\n", "", "\r", "").Replace(gives)
		if len(strings.NewReplacer("\n", "", "\r", "").Replace(secret)) < redact.Shortest || len(gives) < redact.Shortest {
			return
		}
		got := strings.NewReplacer("\n", "", "\r", "").Replace(stream(s, text, cuts))
		if strings.Contains(got, gives) {
			t.Errorf("secret %q came out as %q:\n%q", secret, gives, got)
		}
		if whole := s.String(text); strings.Count(whole, "\n") != strings.Count(text, "\n") {
			t.Errorf("lines are lost: %q became %q", text, whole)
		}
	})
}

// FuzzTextWithoutSecretsStays gives texts back as they were.
func FuzzTextWithoutSecretsStays(f *testing.F) {
	f.Add("a line\nanother\r\n\r", []byte{1, 0, 3})
	f.Fuzz(func(t *testing.T, text string, cuts []byte) {
		s := redact.New("\x00not in any text\x00 that is tried", key)
		if strings.ContainsAny(text, "\x00-MYb+") || len(text) > 4<<10 {
			return
		}
		if got := stream(s, text, cuts); got != text && !strings.Contains(got, redact.Mask) {
			t.Errorf("%q became %q", text, got)
		}
	})
}

// BenchmarkStream redacts 1 MB of a chatty build's output.
func BenchmarkStream(b *testing.B) {
	var text []byte
	for i := 0; len(text) < 1<<20; i++ {
		text = fmt.Appendf(text, "%07d ok  github.com/acme/web/internal/some/package/of/ours compiled and tested, all right, %.6f\n", i, float64(i))
	}
	passwords := make([]string, 20)
	for i := range passwords {
		passwords[i] = fmt.Sprintf("password-%d-of-some-length", i)
	}
	for name, s := range map[string]*redact.Secrets{
		"no secret": redact.New(), "a password": redact.New("a-password-of-some-length"), "a short password": redact.New("abcd"),
		"twenty passwords": redact.New(passwords...), "a key": redact.New(key),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			w := redact.NewStream(s)
			var out []byte
			for b.Loop() {
				out = w.Append(out[:0], text)
			}
		})
	}
}
