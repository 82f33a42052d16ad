package forge

import (
	"net/url"
	"strings"
)

// Remote is where a git URL leads: the host of a forge and the repository on
// it.
type Remote struct {
	Host       string // with its port, if one is written
	Repository string // with its owner, such as acme/web
}

// ParseRemote takes a git URL of the forms https://host/owner/name.git,
// ssh://git@host/owner/name.git and git@host:owner/name.git apart.
func ParseRemote(address string) (Remote, error) {
	var host, path string
	u, err := url.Parse(address)
	switch {
	case err == nil && u.Scheme != "" && u.Host != "":
		host, path = u.Host, u.Path
	case !strings.Contains(address, "://"):
		var ok bool
		host, path, ok = strings.Cut(address, ":")
		if !ok {
			return Remote{}, invalid("%.200q is no address of a git repository on a forge", address)
		}
		if _, after, found := strings.Cut(host, "@"); found {
			host = after
		}
	default:
		// What url.Parse says would show a password.
		return Remote{}, invalid("the address of the git repository cannot be read")
	}
	r := Remote{Host: strings.ToLower(host), Repository: strings.TrimSuffix(strings.Trim(path, "/"), ".git")}
	if r.Host == "" || !isRepository(r.Repository) {
		return Remote{}, invalid("the address of the git repository has no host, or no owner and name")
	}
	return r, nil
}

// Guess tells the kind of forge by its host, or "" when it could be any: most
// installations of GitLab, Gitea and Forgejo have names of their own.
func (r Remote) Guess() Kind {
	switch r.Host {
	case "github.com":
		return GitHub
	case "gitlab.com":
		return GitLab
	case "bitbucket.org":
		return Bitbucket
	case "codeberg.org", "gitea.com":
		return Gitea
	}
	return ""
}

// API is the address of the forge's API on that host.
func (r Remote) API(kind Kind) string {
	switch {
	case kind == GitHub && r.Host == "github.com":
		return "https://api.github.com"
	case kind == GitHub:
		return "https://" + r.Host + "/api/v3"
	case kind == GitLab:
		return "https://" + r.Host + "/api/v4"
	case kind == Gitea:
		return "https://" + r.Host + "/api/v1"
	case kind == Bitbucket:
		return "https://api.bitbucket.org/2.0"
	}
	return ""
}
