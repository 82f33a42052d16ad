package probe

import (
	"errors"
	"net/url"
)

// errUnreadable is the error of a URL that cannot be parsed. The parser's own
// quotes the part that it does not like, which may be the password.
var errUnreadable = errors.New("it is no URL: write it as http://HOST[:PORT]/PATH, or with https, and every special character of a user name or password in percent-encoding, such as %2F")

// ParseURL reads an absolute http or https URL. Its errors show nothing of it
// that Shown does not.
func ParseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errUnreadable
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, errors.New("want an absolute http or https URL: write it as http://HOST[:PORT]/PATH, or with https")
	}
	return u, nil
}

// Shown is a URL as anybody may see it: scheme, host and path. The user's name,
// the password, the query and the fragment may each be a credential. A URL
// without a host is not shown at all: nobody knows which part of it is what.
func Shown(u *url.URL) string {
	if u.Host == "" {
		return "a URL without a host"
	}
	clean := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	if u.RawQuery != "" {
		return clean.String() + "?..."
	}
	return clean.String()
}
