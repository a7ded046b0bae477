package etcd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/store"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// patience is how long a request waits for etcd. It is longer than an election, so that a change of the leader is not
	// noticed.
	patience = 5 * time.Second
	// startPatience is how long a start waits for etcd, before it uses the snapshot.
	startPatience = 2 * time.Second
	// keepAlive is how long a connection may be silent before it is checked, and then, before it counts as broken.
	keepAlive = 3 * time.Second
)

// connect returns a client, which has logged in if the configuration has a user.
func connect(ctx context.Context, c *config.Etcd) (*clientv3.Client, error) {
	cfg := clientv3.Config{
		Context: ctx, Endpoints: c.Endpoints, Logger: zap.NewNop(), // etcd's own messages are for developers
		DialTimeout: patience, DialKeepAliveTime: keepAlive, DialKeepAliveTimeout: keepAlive,
	}
	var err error
	if strings.HasPrefix(c.Endpoints[0], "https:") {
		if cfg.TLS, err = tlsConfig(c); err != nil {
			return nil, err
		}
	}
	if c.User != "" {
		password, err := os.ReadFile(c.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("reading the password of store.etcd.user: %w", err)
		}
		cfg.Username, cfg.Password = c.User, strings.TrimRight(string(password), "\r\n")
	}
	return clientv3.New(cfg)
}

func tlsConfig(c *config.Etcd) (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CA != "" {
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, fmt.Errorf("reading store.etcd.tls.ca: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("store.etcd.tls.ca: %s has no certificate in PEM format", c.CA)
		}
	}
	if c.Cert != "" {
		pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
		if err != nil {
			return nil, fmt.Errorf("reading store.etcd.tls.cert and key: %w", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}

// diagnose connects to the servers, and returns why that fails, or nil if one of them can be reached: etcd's client only says
// that the time was up.
func diagnose(ctx context.Context, c *config.Etcd) error {
	ctx, cancel := context.WithTimeout(ctx, keepAlive)
	defer cancel()
	var all []error
	for _, endpoint := range c.Endpoints {
		err := dial(ctx, endpoint, c)
		if err == nil || ctx.Err() != nil {
			return nil
		}
		all = append(all, fmt.Errorf("%s: %w", endpoint, err))
	}
	return fmt.Errorf("etcd cannot be reached: %w", errors.Join(all...))
}

func dial(ctx context.Context, endpoint string, c *config.Etcd) error {
	u, err := url.Parse(endpoint)
	if err != nil {
		return err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return err
	}
	defer conn.Close()
	if u.Scheme != "https" {
		return nil
	}
	t, err := tlsConfig(c)
	if err != nil {
		return err
	}
	t.ServerName, t.NextProtos = u.Hostname(), []string{"h2"}
	secure := tls.Client(conn, t)
	if err := secure.HandshakeContext(ctx); err != nil {
		return err
	}
	// A server refuses the client's certificate only after the handshake. Else it begins to speak HTTP/2.
	deadline, _ := ctx.Deadline()
	_ = secure.SetReadDeadline(deadline)
	_, err = secure.Read(make([]byte, 1))
	return err
}

// explain says what is wrong and what to do, for the errors that an operator can repair.
func explain(err error, c *config.Etcd) error {
	servers := strings.Join(c.Endpoints, ", ")
	is := func(target error) bool { return errors.Is(rpctypes.Error(err), target) }
	switch {
	case err == nil:
		return nil
	case is(rpctypes.ErrAuthFailed):
		return fmt.Errorf("etcd does not know the user %s with this password: check store.etcd.user and %s", c.User, c.PasswordFile)
	case is(rpctypes.ErrAuthNotEnabled):
		return errors.New("etcd has no users: run `etcdctl auth enable`, or remove store.etcd.user")
	case is(rpctypes.ErrUserEmpty):
		return errors.New("etcd wants a user: set store.etcd.user and password_file, or a certificate that names one")
	case isDenied(err):
		return fmt.Errorf("etcd's user may not read the allocations: grant a role that may read all keys that begin with %s%s", c.Prefix, layout)
	case is(rpctypes.ErrNoSpace):
		return errors.New("etcd's database is full: compact and defragment it, and run `etcdctl alarm disarm`")
	case is(rpctypes.ErrCorrupt):
		return errors.New("a member of etcd is corrupt: replace it, and run `etcdctl alarm disarm`")
	case isTimeout(err):
		return fmt.Errorf("etcd does not answer, at %s: are most of its members running, and can this host reach them?", servers)
	case status.Code(err) == codes.Unavailable:
		return fmt.Errorf("etcd cannot be reached, at %s: %s", servers, status.Convert(err).Message())
	}
	return fmt.Errorf("etcd, at %s: %w", servers, err)
}

// explainChange is explain for a change of allocations.
func explainChange(err error, c *config.Etcd) error {
	if isDenied(err) {
		return fmt.Errorf("%w: allocate and free on another host, or grant etcd's user a role that may write the keys of allocations, which "+
			"begin with %s%s", store.ErrReadOnly, c.Prefix, layout)
	}
	return explain(err, c)
}

func isDenied(err error) bool { return errors.Is(rpctypes.Error(err), rpctypes.ErrPermissionDenied) }

func isTimeout(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || status.Code(err) == codes.DeadlineExceeded
}
