package wire

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
)

// pageMAC is how many bytes of the token are its seal.
const pageMAC = 16

// List is what a token of a next page belongs to: the operation and everything
// of its request that chooses what is listed.
func List(parts ...string) string {
	var text strings.Builder
	for _, p := range parts {
		text.WriteString(strconv.Itoa(len(p)) + ":" + p)
	}
	return text.String()
}

// Pages makes the tokens of pages, with a key of at least 16 bytes that is the
// same after a restart, and in every replica.
type Pages []byte

// Next is an opaque token of the place where a list's next page starts.
func (p Pages) Next(list, place string) string {
	return base64.RawURLEncoding.EncodeToString(append(p.seal(list, place), place...))
}

// Place reads a token of the same list. One that was made up, or that belongs
// to another list, is refused. An empty token is the beginning: "".
func (p Pages) Place(list string, token *string) (string, error) {
	if token == nil || *token == "" {
		return "", nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(*token)
	if err != nil || len(raw) < pageMAC || !hmac.Equal(raw[:pageMAC], p.seal(list, string(raw[pageMAC:]))) {
		return "", Faultf("InvalidNextTokenException", "The next token was specified in an invalid format. Make sure that the next token you provide is the token returned by a previous call.")
	}
	return string(raw[pageMAC:]), nil
}

func (p Pages) seal(list, place string) []byte {
	mac := hmac.New(sha256.New, p)
	mac.Write([]byte(strconv.Itoa(len(list)) + ":" + list + place))
	return mac.Sum(nil)[:pageMAC]
}

// Size is how many entries a page has: what was asked for, or the most.
func Size(asked *int32, most int) int {
	if asked == nil || *asked < 1 {
		return most
	}
	return min(int(*asked), most)
}
