package service

import (
	"maps"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/pipeline"
)

// Account is how a build reaches its database.
type Account struct {
	Engine   string // one of the Engine constants of package pipeline
	Host     string
	Port     int
	User     string // "default" for Redis, whose accounts have names since version 6
	Password string
	Database string // name of the database; "" for Redis, which has numbers
	Query    string // of the URL: sslmode=disable
}

// variables are what programs look for to find their database.
func (a Account) variables() map[string]string {
	port := strconv.Itoa(a.Port)
	address := url.URL{User: url.UserPassword(a.User, a.Password), Host: net.JoinHostPort(a.Host, port), Path: a.Database, RawQuery: a.Query}
	query := ""
	if a.Query != "" {
		query = "?" + a.Query
	}
	jdbc := func(scheme string) map[string]string {
		return map[string]string{
			"JDBC_DATABASE_URL":      "jdbc:" + scheme + "://" + address.Host + "/" + a.Database + query,
			"JDBC_DATABASE_USERNAME": a.User, "JDBC_DATABASE_PASSWORD": a.Password,
		}
	}
	switch a.Engine {
	case pipeline.EngineRedis:
		address.Scheme, address.Path = "redis", "0"
		return map[string]string{
			"REDIS_URL": address.String(), "REDIS_HOST": a.Host, "REDIS_PORT": port, "REDIS_PASSWORD": a.Password,
			"REDISCLI_AUTH": a.Password,
		}
	case pipeline.EngineMySQL, pipeline.EngineMariaDB:
		address.Scheme = "mysql"
		return with(jdbc(a.Engine), map[string]string{
			"DATABASE_URL": address.String(), "MYSQL_HOST": a.Host, "MYSQL_PORT": port, "MYSQL_TCP_PORT": port, "MYSQL_USER": a.User,
			"MYSQL_PASSWORD": a.Password, "MYSQL_PWD": a.Password, "MYSQL_DATABASE": a.Database,
		})
	}
	address.Scheme = "postgres"
	return with(jdbc("postgresql"), map[string]string{
		"DATABASE_URL": address.String(),
		"PGHOST":       a.Host, "PGPORT": port, "PGUSER": a.User, "PGPASSWORD": a.Password, "PGDATABASE": a.Database,
	})
}

func with(all, more map[string]string) map[string]string {
	maps.Copy(all, more)
	return all
}

// Named is an account and the name that the build gives its service.
type Named struct {
	Name string
	Account
}

// Environment is what the commands of a build find their databases by. A
// variable belongs to the first service that has it; with several services each
// one's stand with its name before them as well: DB_DATABASE_URL.
func Environment(services []Named) map[string]string {
	env := map[string]string{}
	for _, s := range services {
		for name, value := range s.variables() {
			if _, taken := env[name]; !taken {
				env[name] = value
			}
		}
	}
	if len(services) < 2 {
		return env
	}
	for _, s := range services {
		for name, value := range s.variables() {
			env[strings.ToUpper(build.Variable(s.Name))+"_"+name] = value
		}
	}
	return env
}
