// Package config says where a server keeps its data and listens, and how the
// command line finds it again. It holds settings, not behaviour.
package config

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// DefaultListen is the address of a server that is not told another.
const DefaultListen = "127.0.0.1:8480"

// Server is the configuration of one server.
type Server struct {
	// Data is the directory that holds all its state.
	Data string
	// Listen are the addresses to serve on, host:port. The first is the one
	// that the command line, git and the registry's image names use.
	Listen []string
	// URL is where others reach the server, such as https://towline.example.com:
	// forges that send webhooks, and people who follow a link. Empty means the
	// first address of Listen.
	URL string
	// Kubeconfig is the file whose contexts are the clusters that deploy
	// actions name. Empty means the usual places: KUBECONFIG, ~/.kube/config,
	// the service account of the Pod that the server runs in.
	Kubeconfig string
	// Registry, when not empty, is where images with a bare repository name are
	// pushed instead of the embedded registry, such as ghcr.io/acme. The
	// credentials are those of docker login.
	Registry string
	// Secrets says where secrets of builds are looked for that the server does
	// not store itself: SecretsAWS, or nowhere when it is empty.
	Secrets string
	// DockerfileBuilder is what builds Dockerfiles: one of the Dockerfiles
	// constants, or the address of a BuildKit such as tcp://10.0.0.7:1234.
	DockerfileBuilder string
	// DockerfileCache is how much of them is kept for later builds, such as 10Gi.
	DockerfileCache string
	// BuildKitTLS is a directory with ca.pem, cert.pem and key.pem for a BuildKit
	// at an address of tcp.
	BuildKitTLS string
	// Components shows the dashboard's page of all its parts, for those who
	// change its design.
	Components bool
	// BuildUsers are users of this machine that the run-as of a buildspec may
	// name: whoever may push can do what they can.
	BuildUsers []string
	// BuildMemory, BuildDisk and BuildProcesses are what a build on this machine may
	// use at most, the first two such as 8Gi; BuildSpare is what builds leave free
	// on the disk. Empty means the defaults of the builds.
	BuildMemory, BuildDisk, BuildSpare string
	BuildProcesses                     int
	// BuildImage is that of builds in Pods which name none. Without it these are
	// errors.
	BuildImage string
	// ServiceImages begins the references of the databases beside builds in Pods,
	// such as mirror.example.com/library/. Empty means Docker Hub's.
	ServiceImages string
}

// What builds Dockerfiles.
const (
	DockerfilesAny      = "auto"     // the first of the following that works
	DockerfilesBuildKit = "buildkit" // one that the server runs itself
	DockerfilesDocker   = "docker"
	DockerfilesBuildah  = "buildah"
	DockerfilesNone     = "none"
)

// SecretsAWS is the parameter store and the secrets manager of AWS.
const SecretsAWS = "aws"

// Default is the configuration of a server that is told nothing.
func Default() Server {
	return Server{Data: DefaultData(), Listen: []string{DefaultListen}, DockerfileBuilder: DockerfilesAny, DockerfileCache: "10Gi"}
}

// Validate reports what is wrong with the configuration.
func (s Server) Validate() error {
	if s.Data == "" {
		return errors.New("no data directory: give --data DIR")
	}
	if len(s.Listen) == 0 {
		return errors.New("no address to listen on: give --listen HOST:PORT")
	}
	if u, err := url.Parse(s.URL); s.URL != "" && (err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Scheme != "http" && u.Scheme != "https") {
		return fmt.Errorf("URL %q is not where a server can be reached: write it like https://towline.example.com", s.URL)
	}
	if s.Secrets != "" && s.Secrets != SecretsAWS {
		return fmt.Errorf("secrets cannot be looked for in %q: write --secrets aws, or leave it out", s.Secrets)
	}
	if err := s.checkDockerfiles(); err != nil {
		return err
	}
	for _, address := range s.Listen {
		if _, _, err := net.SplitHostPort(address); err != nil {
			return fmt.Errorf("listen address %q is not HOST:PORT: %w", address, err)
		}
	}
	return nil
}

func (s Server) checkDockerfiles() error {
	switch s.DockerfileBuilder {
	case "", DockerfilesAny, DockerfilesBuildKit, DockerfilesDocker, DockerfilesBuildah, DockerfilesNone:
		if s.BuildKitTLS != "" {
			return errors.New("certificates of a BuildKit go with its address: write --dockerfile-builder tcp://HOST:PORT, or leave --buildkit-tls out")
		}
	default:
		u, err := url.Parse(s.DockerfileBuilder)
		if err != nil || (u.Scheme != "unix" || u.Path == "") && (u.Scheme != "tcp" || u.Port() == "") {
			return fmt.Errorf("the builder of Dockerfiles cannot be %q: write auto, buildkit, docker, buildah, none, unix:///PATH or tcp://HOST:PORT", s.DockerfileBuilder)
		}
	}
	return nil
}

// DefaultData is TOWLINE_DATA, /var/lib/towline for root, and the user's own
// data directory for others.
func DefaultData() string {
	if dir := os.Getenv("TOWLINE_DATA"); dir != "" {
		return dir
	}
	if os.Geteuid() == 0 {
		return "/var/lib/towline"
	}
	if dir := os.Getenv("XDG_DATA_HOME"); dir != "" {
		return filepath.Join(dir, "towline")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "towline-data"
	}
	return filepath.Join(home, ".local", "share", "towline")
}

// Tokens are the secrets that a server makes at its first start.
type Tokens struct {
	// Admin may do everything.
	Admin string `json:"admin"`
	// Pull may only pull images, and all of them: for machines that are told by
	// hand. Pods get passwords of their own.
	Pull string `json:"pull"`
}

// MakeTokens reads the tokens kept in the data directory, or makes them, in
// files that only the owner can read.
func MakeTokens(data string) (Tokens, error) {
	admin, err := makeToken(filepath.Join(data, "admin-token"))
	if err != nil {
		return Tokens{}, err
	}
	pull, err := makeToken(filepath.Join(data, "pull-token"))
	return Tokens{Admin: admin, Pull: pull}, err
}

func makeToken(path string) (string, error) {
	token, err := readToken(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return token, err
	}
	token = rand.Text() + rand.Text()
	if err := writeWhole(path, []byte(token+"\n")); err != nil {
		return "", fmt.Errorf("keep token: %w", err)
	}
	return token, nil
}

func readToken(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(text))
	if token == "" {
		return "", fmt.Errorf("token file %s is empty: remove it and start the server again", path)
	}
	return token, nil
}

// Endpoint is a running server as a client on the same machine finds it.
type Endpoint struct {
	URL string `json:"url"`
	PID int    `json:"pid"`
}

const endpointFile = "endpoint.json"

// WriteEndpoint tells clients where the server with this data directory is.
func WriteEndpoint(data string, e Endpoint) error {
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if err := writeWhole(filepath.Join(data, endpointFile), text); err != nil {
		return fmt.Errorf("write endpoint: %w", err)
	}
	return nil
}

// writeWhole writes a file that only the owner can read. Who looks for it finds
// all of it or nothing, also after a crash or on a full disk.
func writeWhole(path string, text []byte) error {
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// ReadEndpoint finds the server that uses the data directory, and its admin
// token. The error wraps fs.ErrNotExist when no server has ever run there.
func ReadEndpoint(data string) (Endpoint, string, error) {
	text, err := os.ReadFile(filepath.Join(data, endpointFile))
	if err != nil {
		return Endpoint{}, "", err
	}
	var e Endpoint
	if err := json.Unmarshal(text, &e); err != nil {
		return Endpoint{}, "", fmt.Errorf("read %s: %w", filepath.Join(data, endpointFile), err)
	}
	token, err := readToken(filepath.Join(data, "admin-token"))
	return e, token, err
}

// URL is the address as an HTTP URL. A host that means every interface becomes
// the loopback one.
func URL(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "http://" + listen
	}
	if ip := net.ParseIP(host); host == "" || (ip != nil && ip.IsUnspecified()) {
		host = "127.0.0.1"
	}
	return (&url.URL{Scheme: "http", Host: net.JoinHostPort(host, port)}).String()
}
