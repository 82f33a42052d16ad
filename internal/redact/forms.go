package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"html"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const (
	// longest is the most bytes of one form, so that little of a text need be
	// held back. What is longer is cut up, each piece a form of its own.
	longest = 128
	// shortestLine is the least length of one line of a value of several that
	// is hidden by itself. Braces and the like stand in every log.
	shortestLine = 8
)

// forms are the texts that give a value away, without the ends of lines, each
// of Shortest to longest bytes. The value's own ends are trimmed.
func forms(value string) []string {
	all := []string{value, strings.Join(strings.Fields(value), " ")} // as an unquoted variable
	all = append(all, base64Forms(value)...)
	all = append(all, escapedForms(value)...)
	if lines := strings.FieldsFunc(value, func(r rune) bool { return r == '\n' || r == '\r' }); len(lines) > 1 {
		for _, line := range lines {
			if line = strings.TrimSpace(line); len(line) >= shortestLine {
				all = append(all, line)
			}
		}
	}
	var cut []string
	for _, form := range all {
		cut = append(cut, pieces(string(withoutLineEnds(form)))...)
	}
	slices.Sort(cut)
	return slices.Compact(cut)
}

// pieces cuts a form up. The last piece overlaps with the one before.
func pieces(form string) []string {
	if len(form) < Shortest {
		return nil
	}
	var all []string
	for rest := form; len(rest) > longest; rest = rest[longest:] {
		all = append(all, rest[:longest])
	}
	return append(all, form[max(0, len(form)-longest):])
}

// base64Forms are what a value looks like inside of a base64 text: at each
// alignment the characters that depend on the value alone, and by itself also
// the end.
func base64Forms(value string) []string {
	all := []string{base64.StdEncoding.EncodeToString([]byte(value)), base64.RawStdEncoding.EncodeToString([]byte(value))}
	for before := range 3 {
		text := base64.RawStdEncoding.EncodeToString(append(make([]byte, before), value...))
		// Character i holds the bits from 6i on.
		all = append(all, text[(8*before+5)/6:8*(before+len(value))/6])
	}
	toURL := strings.NewReplacer("+", "-", "/", "_")
	for _, text := range slices.Clone(all) {
		all = append(all, toURL.Replace(text))
	}
	return all
}

// escapedForms are the value as it stands in a URL, in JSON, in HTML or XML and
// in the trace of a shell.
func escapedForms(value string) []string {
	query := url.QueryEscape(value)
	percent := strings.ReplaceAll(query, "+", "%20")
	// What encodeURIComponent of JavaScript leaves alone.
	script := strings.NewReplacer("%21", "!", "%27", "'", "%28", "(", "%29", ")", "%2A", "*").Replace(percent)
	all := []string{query, percent, script, url.PathEscape(value)}
	for _, text := range slices.Clone(all) {
		all = append(all, lowerHex(text))
	}
	quoted := strconv.QuoteToASCII(value)
	all = append(all, quoted[1:len(quoted)-1], html.EscapeString(value),
		strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(value),
		strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;").Replace(value),
		strings.ReplaceAll(value, "'", `'\''`), strings.ReplaceAll(value, "'", `'"'"'`))
	for _, safe := range []bool{true, false} {
		var text bytes.Buffer
		encoder := json.NewEncoder(&text)
		encoder.SetEscapeHTML(safe)
		if err := encoder.Encode(value); err == nil {
			all = append(all, strings.Trim(text.String(), "\"\n"))
		}
	}
	return all
}

// lowerHex writes %2F as %2f.
func lowerHex(text string) string {
	out := []byte(text)
	for i := 0; i+2 < len(out); i++ {
		if out[i] == '%' {
			copy(out[i+1:], bytes.ToLower(out[i+1:i+3]))
		}
	}
	return string(out)
}
