package source

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strings"
)

// endpoint is what a mirror is of, taken apart.
type endpoint struct {
	scheme string // https, http, ssh, git or file
	host   string // with its port
}

var (
	hostName = regexp.MustCompile(`^([A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$`)
	userName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.+-]*$`)
	// scpForm is user@host:path, as ssh and forges write it.
	scpForm = regexp.MustCompile(`^([^@:/]+)@([^@:/]+):([^:].*)$`)
)

const maxURL = 2000

// CheckURL returns an *Error of kind ErrInvalid unless the address is one that
// a mirror can be of: https://, http://, ssh://, git:// or user@host:path.
// Others mean a program to run (ext::) or files of this server, which only
// Config.FileMirrors allows. No part of one that passes can be taken for an
// option. The error does not repeat what may be a password.
func (r *Repositories) CheckURL(address string) error {
	_, err := r.parseURL(address)
	return err
}

func (r *Repositories) parseURL(address string) (endpoint, error) {
	if address == "" || len(address) > maxURL {
		return badURL("it is empty or very long", urlForms)
	}
	for i := range len(address) {
		if c := address[i]; c <= ' ' || c >= 0x7f || c == '\\' || c == '?' || c == '#' {
			return badURL(fmt.Sprintf("it contains %q", c), urlForms)
		}
	}
	if strings.Contains(address, "://") {
		return r.parseScheme(address)
	}
	m := scpForm.FindStringSubmatch(address)
	// Two colons are git's mark of a program to run, and no path needs them.
	if m == nil || strings.Contains(address, "::") || !userName.MatchString(m[1]) || !hostName.MatchString(m[2]) || m[3][0] == '-' {
		return badURL("it names no host and path", urlForms)
	}
	return endpoint{scheme: "ssh", host: m[2]}, nil
}

// parseScheme reads an address that begins with a scheme.
func (r *Repositories) parseScheme(address string) (endpoint, error) {
	u, err := url.Parse(address)
	if err != nil || u.Opaque != "" {
		return badURL("it cannot be read", urlForms)
	}
	if _, set := u.User.Password(); set || u.User != nil && u.Scheme != "ssh" {
		return badURL("it has a user or a password in it", "take that out, and give it as credentials")
	}
	switch u.Scheme {
	case "file":
		return r.checkFile(u)
	case "https", "http", "ssh", "git":
	default:
		return badURL(fmt.Sprintf("%.20q is no way to fetch a repository", u.Scheme), urlForms)
	}
	if !hostName.MatchString(u.Host) || u.User != nil && !userName.MatchString(u.User.Username()) {
		return badURL("its host or user has characters that neither has", urlForms)
	}
	if path := strings.Trim(u.Path, "/"); path == "" || path[0] == '-' || strings.ContainsFunc(path, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return badURL("it has no path, or one that cannot be", urlForms)
	}
	return endpoint{scheme: u.Scheme, host: u.Host}, nil
}

// SameServer tells whether two addresses lead to one server in the same way, so
// that credentials which were given for one may be shown to the other.
func (r *Repositories) SameServer(one, other string) bool {
	to, err := r.parseURL(one)
	and, otherErr := r.parseURL(other)
	return err == nil && otherErr == nil && to == and
}

func (r *Repositories) checkFile(u *url.URL) (endpoint, error) {
	if !r.cfg.FileMirrors {
		return badURL("it is a directory of this server, which its operator has not allowed", urlForms)
	}
	if u.Host != "" || !path.IsAbs(u.Path) || path.Clean(u.Path) != u.Path {
		return badURL("its path is not absolute or not clean", "write it as file:///path")
	}
	return endpoint{scheme: "file"}, nil
}

const urlForms = "write it as https://host/path.git, ssh://user@host/path.git or user@host:path.git"

func badURL(reason, hint string) (endpoint, error) {
	return endpoint{}, &Error{Kind: ErrInvalid, Message: "this address cannot be mirrored: " + reason, Hint: hint}
}

// checkMirror checks what a mirror is made of.
func (r *Repositories) checkMirror(m Mirror) error {
	if err := CheckName(m.Name); err != nil {
		return err
	}
	to, err := r.parseURL(m.URL)
	if err != nil {
		return err
	}
	c := m.Credentials
	bad := func(reason, hint string) error {
		return &Error{Kind: ErrInvalid, Message: "these credentials cannot be used: " + reason, Hint: hint}
	}
	// A line break would end the answer to git.
	if strings.ContainsAny(c.Username+c.Password, "\n\r\x00") {
		return bad("the user name or password has a line break in it", "copy it again")
	}
	if strings.ContainsRune(c.PrivateKey+c.KnownHosts, 0) || len(c.PrivateKey)+len(c.KnownHosts) > 256<<10 {
		return bad("the key or the known hosts are no text, or too long", "give the files id_... and known_hosts as they are")
	}
	switch to.scheme {
	case "https", "http":
		if c.PrivateKey != "" {
			return bad("a key opens no "+to.scheme+" address", "give a user name and a password or token, or the ssh address")
		}
	case "ssh":
		if c.PrivateKey == "" || c.KnownHosts == "" || c.Password != "" {
			return bad("an ssh address wants a private key, and the known hosts to tell the right host by",
				"make a key with ssh-keygen, and take the host's key down with ssh-keyscan; compare it with the one that the forge publishes")
		}
	default:
		if c != (Credentials{}) {
			return bad("a "+to.scheme+" address wants none", "")
		}
	}
	return nil
}
