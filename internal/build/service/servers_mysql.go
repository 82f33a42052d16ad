package service

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"strconv"

	mysqldriver "github.com/go-sql-driver/mysql"
)

// mysqlServer is a running MySQL or MariaDB.
type mysqlServer struct{ conn driver.Conn }

func connectMySQL(ctx context.Context, a address) (administration, error) {
	config := mysqldriver.NewConfig()
	config.Net, config.Addr, config.User = "tcp", net.JoinHostPort(a.host, strconv.Itoa(a.port)), a.url.User.Username()
	config.Passwd, _ = a.url.User.Password()
	config.TLSConfig = a.url.Query().Get("tls")
	connector, err := mysqldriver.NewConnector(config)
	if err != nil {
		return nil, errors.New("the address of the MySQL server cannot be read: write one such as mysql://user:password@host:3306/?tls=true")
	}
	conn, err := connector.Connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to the MySQL server: %w", err)
	}
	return mysqlServer{conn}, nil
}

func (s mysqlServer) create(ctx context.Context, name, password string) error {
	for _, statement := range []string{
		fmt.Sprintf("CREATE DATABASE %s CHARACTER SET utf8mb4", name),
		fmt.Sprintf("CREATE USER '%s'@'%%' IDENTIFIED BY '%s'", name, password),
		fmt.Sprintf("GRANT ALL ON %s.* TO '%s'@'%%'", name, name),
	} {
		if err := s.exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

func (s mysqlServer) drop(ctx context.Context, name string) error {
	if err := s.exec(ctx, fmt.Sprintf("DROP DATABASE IF EXISTS %s", name)); err != nil {
		return err
	}
	return s.exec(ctx, fmt.Sprintf("DROP USER IF EXISTS '%s'@'%%'", name))
}

func (s mysqlServer) close(context.Context) error { return s.conn.Close() }

// exec carries out one statement. A message about its form could repeat some of
// it, and its form is not the user's, so only the number of the error is told.
func (s mysqlServer) exec(ctx context.Context, statement string) error {
	conn, ok := s.conn.(driver.ExecerContext)
	if !ok {
		return errors.New("the driver for MySQL carries out no statements")
	}
	_, err := conn.ExecContext(ctx, statement, nil)
	if refused, ok := errors.AsType[*mysqldriver.MySQLError](err); ok {
		return fmt.Errorf("the MySQL server refuses it with error %d (the account needs CREATE, DROP, CREATE USER and GRANT OPTION)", refused.Number)
	}
	return err
}
