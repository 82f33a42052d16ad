package service

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/pipeline"
)

func TestEnvironmentNamesTheDatabases(t *testing.T) {
	t.Parallel()
	db := Named{"app-db", Account{Engine: pipeline.EnginePostgres, Host: "127.0.0.1", Port: 1, User: "build", Password: "p/w", Database: "build", Query: "sslmode=disable"}}
	cache := Named{"cache", Account{Engine: pipeline.EngineRedis, Host: "127.0.0.1", Port: 2, User: "default", Password: "q"}}
	shop := Named{"shop", Account{Engine: pipeline.EngineMariaDB, Host: "127.0.0.1", Port: 3, User: "build", Password: "r", Database: "build"}}
	for name, c := range map[string]struct {
		services []Named
		want     map[string]string // "" is that the variable is not there
	}{
		"of one PostgreSQL": {[]Named{db}, map[string]string{
			"DATABASE_URL": "postgres://build:p%2Fw@127.0.0.1:1/build?sslmode=disable", "PGHOST": "127.0.0.1", "PGPORT": "1", "PGUSER": "build", "PGPASSWORD": "p/w", "PGDATABASE": "build",
			"JDBC_DATABASE_URL": "jdbc:postgresql://127.0.0.1:1/build?sslmode=disable", "APP_DB_DATABASE_URL": "",
		}},
		"each engine's first one without its name": {[]Named{cache, db}, map[string]string{
			"REDIS_URL": "redis://default:q@127.0.0.1:2/0", "REDIS_HOST": "127.0.0.1", "PGPORT": "1", "DATABASE_URL": "postgres://build:p%2Fw@127.0.0.1:1/build?sslmode=disable",
			"CACHE_REDIS_PORT": "2", "APP_DB_PGPORT": "1", "APP_DB_REDIS_URL": "",
		}},
		"the first of two that share a variable": {[]Named{shop, db}, map[string]string{
			"DATABASE_URL": "mysql://build:r@127.0.0.1:3/build", "JDBC_DATABASE_URL": "jdbc:mariadb://127.0.0.1:3/build", "MYSQL_TCP_PORT": "3", "PGPORT": "1",
			"SHOP_MYSQL_PWD": "r", "APP_DB_DATABASE_URL": "postgres://build:p%2Fw@127.0.0.1:1/build?sslmode=disable",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := Environment(c.services)
			got := map[string]string{}
			for name := range c.want {
				got[name] = env[name]
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
