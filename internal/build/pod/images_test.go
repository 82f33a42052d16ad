package pod_test

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/towline/towline/internal/agent"
	"github.com/towline/towline/internal/deploy/imagetest"
	"github.com/towline/towline/internal/kube/kubetest"
)

// images are those of this test process, made for the first test that needs
// them, and the registry that serves them to the nodes.
type images struct {
	registry *imagetest.Registry
	agent    string // of Towline
	tools    string // of the builds: a shell, and what the suite calls
	services string // what the references of databases begin with
}

var made struct {
	sync.Once
	images
	err error
}

func imagesFor(tb testing.TB) images {
	tb.Helper()
	cluster := kubetest.Connect(tb)
	made.Do(func() {
		// The registry outlives the test that needs it first.
		ctx := context.Background()
		if made.registry, made.err = imagetest.Listen(ctx, cluster, "0"); made.err == nil {
			made.err = made.make(ctx)
		}
	})
	if made.err != nil {
		tb.Fatal(made.err)
	}
	return made.images
}

func (i *images) make(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "towline-test-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "towline")
	if err := imagetest.Compile(ctx, "testdata/agent", program); err != nil {
		return err
	}
	i.agent, err = agent.Publish(ctx, agent.Target{Reference: i.registry.Host + "/towline-agent", Insecure: true, Executables: []string{program}})
	if err != nil {
		return err
	}
	tools, err := toolsImage(ctx)
	if err != nil {
		return err
	}
	if i.tools, err = i.registry.Push(ctx, "tools", "1", tools); err != nil {
		return err
	}
	i.services = i.registry.Host + "/library/"
	for repository, of := range map[string]struct {
		tag  string
		make func(context.Context) (v1.Image, error)
	}{
		"library/postgres": {postgresVersion, postgresImage}, "library/mariadb": {mariadbVersion, mariadbImage}, "library/redis": {redisVersion, redisImage},
	} {
		image, err := of.make(ctx)
		if err != nil {
			return err
		}
		if _, err := i.registry.Push(ctx, repository, of.tag, image); err != nil {
			return err
		}
	}
	return nil
}

// The versions of the tags, whatever this machine has.
const (
	postgresVersion = "15"
	mariadbVersion  = "11.4"
	redisVersion    = "7"
)

// utf8Locale is a directory in systems where it is not part of the C library.
const utf8Locale = "/usr/lib/locale/C.utf8"

// toolsImage has what the commands of the suite call.
func toolsImage(ctx context.Context) (v1.Image, error) {
	paths, err := imagetest.Programs(strings.Fields(`sh bash env ls cat echo test printf seq sleep head tail grep sed awk mkdir touch rm cp mv ln wc tr sort
		readlink setsid kill id yes true false date cut dd sha256sum stat base64 whoami tee chmod mariadb redis-cli`)...)
	if err != nil {
		return nil, fmt.Errorf("%w: install the packages mariadb-client-core and redis-tools (scripts/deps test)", err)
	}
	programs, _, err := imagetest.Postgres()
	if err != nil {
		return nil, err
	}
	paths = append(paths, "/bin/sh", filepath.Join(programs, "bin", "psql"))
	if _, err := os.Stat(utf8Locale); err == nil {
		paths = append(paths, utf8Locale)
	}
	return imagetest.System{
		Paths: paths,
		Files: map[string]string{
			"/etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n",
			"/etc/group":  "root:x:0:\nnogroup:x:65534:\n",
		},
		Config: v1.Config{Env: []string{"PATH=" + filepath.Join(programs, "bin") + ":/usr/local/bin:/usr/bin:/bin", "IMAGE_SAYS=hello"}},
	}.Image(ctx)
}

// postgresEntrypoint does what that of the published image promises, as far as
// the backend relies on it.
//
//go:embed testdata/postgres-entrypoint.sh
var postgresEntrypoint string

// postgresImage is this machine's PostgreSQL in the form of the published image.
func postgresImage(ctx context.Context) (v1.Image, error) {
	programs, shared, err := imagetest.Postgres()
	if err != nil {
		return nil, err
	}
	paths, err := imagetest.Programs("sh", "mkdir", "chown", "setpriv", "id", "rm")
	if err != nil {
		return nil, err
	}
	for _, path := range []string{"/bin/sh", programs, shared, "/usr/share/zoneinfo/UTC", utf8Locale, "/etc/postgresql-common"} {
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			continue // a part that this system does not have
		}
		paths = append(paths, path)
	}
	return imagetest.System{
		Paths: paths,
		Files: map[string]string{
			"/entrypoint.sh": postgresEntrypoint,
			"/etc/passwd":    "root:x:0:0:root:/root:/bin/sh\npostgres:x:999:999::/var/lib/postgresql:/bin/sh\n",
			"/etc/group":     "root:x:0:\npostgres:x:999:\n",
		},
		Config: v1.Config{
			Entrypoint: []string{"/entrypoint.sh"}, Cmd: []string{"postgres"}, StopSignal: "SIGINT",
			Env: []string{"PATH=" + filepath.Join(programs, "bin") + ":/usr/bin:/bin", "PGDATA=/var/lib/postgresql/data", "LANG=C.UTF-8"},
		},
	}.Image(ctx)
}

// mariadbEntrypoint and redisEntrypoint are as postgresEntrypoint.
var (
	//go:embed testdata/mariadb-entrypoint.sh
	mariadbEntrypoint string
	//go:embed testdata/redis-entrypoint.sh
	redisEntrypoint string
)

// mariadbImage is this machine's MariaDB in the form of the published image.
func mariadbImage(ctx context.Context) (v1.Image, error) {
	paths, err := imagetest.Programs(strings.Fields(`sh mkdir chown setpriv id cat sleep rm mariadb mariadb-admin mariadb-install-db /usr/sbin/mariadbd
		my_print_defaults resolveip basename dirname hostname uname sed chmod touch`)...)
	if err != nil {
		return nil, fmt.Errorf("%w: install the packages mariadb-server-core and mariadb-client (scripts/deps test)", err)
	}
	return imagetest.System{
		Paths: append(paths, "/bin/sh", "/usr/share/mysql"),
		Files: map[string]string{
			"/usr/local/bin/docker-entrypoint.sh": mariadbEntrypoint,
			"/docker-entrypoint-initdb.d/README":  "Statements that are carried out at the first start.\n",
			"/etc/passwd":                         "root:x:0:0:root:/root:/bin/sh\nmysql:x:999:999::/var/lib/mysql:/bin/sh\n",
			"/etc/group":                          "root:x:0:\nmysql:x:999:\n",
		},
		Config: v1.Config{
			Entrypoint: []string{"docker-entrypoint.sh"}, Cmd: []string{"mariadbd"},
			Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		},
	}.Image(ctx)
}

// redisImage is this machine's Redis in the form of the published image.
func redisImage(ctx context.Context) (v1.Image, error) {
	paths, err := imagetest.Programs("sh", "mkdir", "chown", "setpriv", "id", "redis-server", "redis-cli")
	if err != nil {
		return nil, fmt.Errorf("%w: install the packages redis-server and redis-tools (scripts/deps test)", err)
	}
	return imagetest.System{
		Paths: append(paths, "/bin/sh"),
		Files: map[string]string{
			"/usr/local/bin/docker-entrypoint.sh": redisEntrypoint,
			"/etc/passwd":                         "root:x:0:0:root:/root:/bin/sh\nredis:x:999:999::/data:/bin/sh\n",
			"/etc/group":                          "root:x:0:\nredis:x:999:\n",
		},
		Config: v1.Config{
			Entrypoint: []string{"docker-entrypoint.sh"}, Cmd: []string{"redis-server"},
			Env: []string{"PATH=/usr/local/bin:/usr/bin:/bin"},
		},
	}.Image(ctx)
}
