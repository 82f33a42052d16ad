//go:build linux

package phases

import "testing"

func TestBuildersAreSeenInCommands(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]string{
		"docker build -t web .": "docker",
		"aws ecr get-login-password | docker login --username AWS --password-stdin $R": "docker",
		"cd app && docker  push $R":         "docker",
		"echo one\n\tdocker buildx build .": "docker",
		"podman build .":                    "podman",
		"buildah bud .":                     "buildah",
		"echo docker":                       "",
		"cat docker/build":                  "",
		"./mydocker build":                  "",
		"docker-compose build":              "",
	} {
		got := ""
		for _, b := range builders {
			if b.used.MatchString(command) {
				got += b.name
			}
		}
		if got != want {
			t.Errorf("%q uses %q; want %q", command, got, want)
		}
	}
}
