package awsapi

import (
	"crypto/hmac"
	"encoding/base64"
	"strconv"
	"strings"
)

// pageMAC is how many bytes of the token are its seal.
const pageMAC = 16

// list is what a token of a next page belongs to: the operation and everything
// of its request that chooses what is listed.
func list(parts ...string) string {
	var text strings.Builder
	for _, p := range parts {
		text.WriteString(strconv.Itoa(len(p)) + ":" + p)
	}
	return text.String()
}

// nextToken is an opaque token of the place where a list's next page starts.
func (h *Handler) nextToken(list, place string) string {
	return base64.RawURLEncoding.EncodeToString(append(h.seal(list, place), place...))
}

// place reads a token of the same list. One that was made up, or that belongs
// to another list, is refused. An empty token is the beginning: "".
func (h *Handler) place(list string, token *string) (string, error) {
	if token == nil || *token == "" {
		return "", nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(*token)
	if err != nil || len(raw) < pageMAC || !hmac.Equal(raw[:pageMAC], h.seal(list, string(raw[pageMAC:]))) {
		return "", Faultf("InvalidNextTokenException", "The next token was specified in an invalid format. Make sure that the next token you provide is the token returned by a previous call.")
	}
	return string(raw[pageMAC:]), nil
}

func (h *Handler) seal(list, place string) []byte {
	return keyed(h.PageKey, strconv.Itoa(len(list))+":"+list+place)[:pageMAC]
}

// size is how many entries a page has: what was asked for, or the most.
func size(asked *int32, most int) int {
	if asked == nil || *asked < 1 {
		return most
	}
	return min(int(*asked), most)
}
