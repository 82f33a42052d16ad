package pod

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/towline/towline/internal/build"
	database "github.com/towline/towline/internal/build/service"
	"github.com/towline/towline/internal/pipeline"
)

// dbUser owns the database of the same name, as on host.
const dbUser = "build"

// engine is a kind of database, in the image that its makers publish.
type engine struct {
	title   string
	image   string
	version string // when none is wanted
	port    int
	command []string // instead of the image's entry point, empty for that
	args    func(s service) []string
	env     func(s service) map[string]string
	ready   func(s service) []string // a command that succeeds once it can be used
}

// engines are the databases there are, by name. They listen on the Pod's
// loopback alone: the cluster's other Pods cannot reach them. Their data is not
// worth more than the build, so that nothing waits for the disk.
var engines = map[string]engine{
	pipeline.EnginePostgres: {
		title: "PostgreSQL", image: "postgres", version: "17", port: 5432,
		args: func(s service) []string {
			return settings("-c", "listen_addresses=127.0.0.1", "port="+s.portText(), "fsync=off", "synchronous_commit=off", "full_page_writes=off")
		},
		env: func(s service) map[string]string {
			return map[string]string{"POSTGRES_USER": dbUser, "POSTGRES_DB": dbUser, "POSTGRES_PASSWORD": s.password, "PGPORT": s.portText()}
		},
		ready: func(s service) []string {
			return []string{"pg_isready", "-q", "-h", "127.0.0.1", "-p", s.portText(), "-U", dbUser}
		},
	},
	pipeline.EngineMySQL: {
		title: "MySQL", image: "mysql", version: "8.4", port: 3306,
		command: mysqlCommand,
		args: func(s service) []string {
			return []string{"mysqld", "--bind-address=127.0.0.1", "--port=" + s.portText(), "--mysqlx=OFF", "--skip-log-bin", "--innodb-flush-log-at-trx-commit=0"}
		},
		env:   mysqlEnv("MYSQL_"),
		ready: func(s service) []string { return mysqlReady("mysqladmin", s) },
	},
	pipeline.EngineMariaDB: {
		title: "MariaDB", image: "mariadb", version: "11.4", port: 3306,
		command: mysqlCommand,
		args: func(s service) []string {
			return []string{"mariadbd", "--bind-address=127.0.0.1", "--port=" + s.portText(), "--character-set-server=utf8mb4", "--innodb-flush-log-at-trx-commit=0"}
		},
		env:   mysqlEnv("MARIADB_"),
		ready: func(s service) []string { return mysqlReady("mariadb-admin", s) },
	},
	pipeline.EngineRedis: {
		title: "Redis", image: "redis", version: "7", port: 6379,
		args: func(s service) []string {
			return []string{"redis-server", "--bind", "127.0.0.1", "--port", s.portText(), "--save", "", "--appendonly", "no", "--requirepass", s.password}
		},
		env: func(s service) map[string]string { return map[string]string{"REDISCLI_AUTH": s.password} },
		ready: func(s service) []string {
			return []string{"sh", "-c", `[ "$(redis-cli -h 127.0.0.1 -p ` + s.portText() + ` ping)" = PONG ]`}
		},
	},
}

// mysqlCommand lets the images' entry point give the build's user all rights, as
// it has on this machine, when it makes the database.
var mysqlCommand = []string{"sh", "-c",
	`echo "GRANT ALL ON *.* TO '` + dbUser + `'@'%' WITH GRANT OPTION;" > /docker-entrypoint-initdb.d/build.sql && exec docker-entrypoint.sh "$@"`, "sh"}

func settings(flag string, all ...string) []string {
	var args []string
	for _, s := range all {
		args = append(args, flag, s)
	}
	return args
}

func mysqlEnv(prefix string) func(service) map[string]string {
	return func(s service) map[string]string {
		return map[string]string{
			prefix + "DATABASE": dbUser, prefix + "USER": dbUser, prefix + "PASSWORD": s.password, prefix + "ROOT_PASSWORD": s.password,
			"MYSQL_PWD": s.password, // of the probe
		}
	}
}

func mysqlReady(program string, s service) []string {
	return []string{program, "ping", "--silent", "--protocol=tcp", "-h", "127.0.0.1", "-P", s.portText(), "-u", dbUser}
}

// service is a database beside one build.
type service struct {
	build.Service
	engine   engine
	image    string
	port     int
	password string
}

// services are those of a build, each with a port of its own, since all share
// the Pod's network.
func services(of []build.Service, images string, passwords []string) ([]service, error) {
	var all []service
	taken := map[int]bool{}
	if len(passwords) != len(of) {
		return nil, fmt.Errorf("there are %d passwords for %d services", len(passwords), len(of))
	}
	for i, password := range passwords {
		s := of[i]
		e, known := engines[s.Engine]
		if !known {
			return nil, fmt.Errorf("service %s asks for engine %q; there are %s", s.Name, s.Engine, strings.Join(slices.Sorted(maps.Keys(engines)), ", "))
		}
		port := e.port
		for taken[port] {
			port++
		}
		taken[port] = true
		all = append(all, service{
			Service: s, engine: e, port: port, password: password, image: images + e.image + ":" + cmp.Or(s.Version, e.version),
		})
	}
	return all, nil
}

func (s service) portText() string { return strconv.Itoa(s.port) }

// titled is the database as people call it.
func (s service) titled() string { return s.engine.title + " " + cmp.Or(s.Version, s.engine.version) }

// The startup probe of a service: each second, for two minutes.
const (
	probeEvery = 1
	probeTimes = 120
)

// container is the service as a native sidecar: the build's container is started
// once it answers, and it is ended after that one.
func (s service) container() corev1.Container {
	always := corev1.ContainerRestartPolicyAlways
	var env []corev1.EnvVar
	of := s.engine.env(s)
	for _, name := range slices.Sorted(maps.Keys(of)) {
		env = append(env, corev1.EnvVar{Name: name, Value: of[name]})
	}
	return corev1.Container{
		Name: containerName(s.Name), Image: s.image, Command: s.engine.command, Args: s.engine.args(s), Env: env, RestartPolicy: &always,
		StartupProbe: &corev1.Probe{
			ProbeHandler:  corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: s.engine.ready(s)}},
			PeriodSeconds: probeEvery, FailureThreshold: probeTimes, TimeoutSeconds: 10,
		},
		// The images give the data to the database's user, and become it.
		SecurityContext: restricted([]corev1.Capability{"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"}),
	}
}

// containerName is a service's name as Kubernetes takes it.
func containerName(service string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '-'
	}, service)
	return "service-" + strings.Trim(name[:min(len(name), 50)], "-")
}

// variables are the addresses of all services, by the names that they have on
// this machine, too.
func variables(of []service) map[string]string {
	var all []database.Named
	for _, s := range of {
		account := database.Account{Engine: s.Engine, Host: "127.0.0.1", Port: s.port, User: dbUser, Password: s.password, Database: dbUser}
		switch s.Engine {
		case pipeline.EngineRedis:
			account.User, account.Database = "default", ""
		case pipeline.EnginePostgres:
			account.Query = "sslmode=disable"
		}
		all = append(all, database.Named{Name: s.Name, Account: account})
	}
	return database.Environment(all)
}
