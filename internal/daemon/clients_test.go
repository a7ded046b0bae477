package daemon_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/event"
)

// If the environment variable clientsVariable names a kind, the test program runs clients of this kind, on the socket
// that socketVariable names.
const (
	clientsVariable = "ARPFABRIC_CLIENTS"
	socketVariable  = "ARPFABRIC_SOCKET"
)

const manyClients = 64

// kinds has the kinds of clients, and a server to compare with. A client connects again when the server disconnects it.
var kinds = map[string]func(socket string){
	// send their requests byte by byte
	"slow": func(socket string) {
		runMany(socket, func(conn net.Conn) error {
			for {
				if _, err := io.WriteString(conn, "G"); err != nil {
					return err
				}
				time.Sleep(50 * time.Millisecond)
			}
		})
	},
	// ask for violations and for events, and never read the answers
	"unread": func(socket string) {
		runMany(socket, func(conn net.Conn) error {
			for _, path := range []string{"violations", "events"} {
				fmt.Fprintf(conn, "GET /v1/%s HTTP/1.1\r\nHost: arpfabric\r\n\r\n", path)
			}
			for { // until the server closes it
				if _, err := conn.Write([]byte("X")); err != nil {
					return err
				}
				time.Sleep(50 * time.Millisecond)
			}
		})
	},
	// ask for events, as many clients as are allowed, and read them
	"reading": func(socket string) {
		runMany(socket, func(conn net.Conn) error {
			fmt.Fprint(conn, "GET /v1/events HTTP/1.1\r\nHost: arpfabric\r\n\r\n")
			_, err := io.Copy(io.Discard, conn)
			return err
		})
	},
	// send the next request as soon as the answer to the last one has arrived
	"greedy": func(socket string) {
		runMany(socket, func(conn net.Conn) error {
			answers := bufio.NewReader(conn)
			for {
				fmt.Fprint(conn, "GET /v1/status HTTP/1.1\r\nHost: arpfabric\r\n\r\n")
				for line := ""; line != "0\r\n"; { // the end of a chunked answer
					var err error
					if line, err = answers.ReadString('\n'); err != nil {
						return err
					}
				}
				answers.ReadString('\n')
			}
		})
	},
	// `arpfabric watch`, except that it writes nothing
	"watch": func(socket string) {
		err := api.NewClient(socket).Watch(context.Background(), event.Filter{}, 0, func() (func(api.Event) error, error) {
			return func(api.Event) error { return nil }, nil
		})
		log.Fatal(err)
	},
	// not a client: the API of a fabric without guests, with as many verdicts as the fabric that is measured
	"elsewhere": func(socket string) {
		l, err := api.Listen(socket, "")
		if err != nil {
			log.Fatal(err)
		}
		f := &idleFabric{}
		go func() {
			for ; ; time.Sleep(300 * time.Microsecond) {
				for !f.IsHeard() {
					time.Sleep(20 * time.Millisecond)
				}
				e := event.Event{Time: time.Now(), Network: "bench", Port: "vnet1"}
				e.SetFrame(make([]byte, 60))
				f.Publish(&e)
			}
		}()
		log.Fatal(api.NewServer(f).Serve(context.Background(), l, "", slog.Default()))
	},
}

// idleFabric answers the requests of the clients.
type idleFabric struct {
	api.Fabric
	event.Stream
}

func (f *idleFabric) Status() api.Status { return api.Status{} }

func (f *idleFabric) Violations(api.ViolationFilter) []api.Violation { return nil }
func (f *idleFabric) ClearViolations(api.ViolationFilter) int        { return 0 }

func (f *idleFabric) Listen(filter event.Filter, capacity, last int) *event.Listener {
	return f.Stream.Listen(filter, capacity, last)
}

// runMany runs do in many clients, each with a connection of its own, again and again.
func runMany(socket string, do func(net.Conn) error) {
	for range manyClients {
		go func() {
			for {
				conn, err := net.Dial("unix", socket)
				if err != nil {
					log.Fatal(err)
				}
				do(conn)
				conn.Close()
			}
		}()
	}
	select {}
}

// runClients runs clients and does not return, if startClients has started this process.
func runClients() {
	if run, ok := kinds[os.Getenv(clientsVariable)]; ok {
		run(os.Getenv(socketVariable))
	}
}

// startClients starts a process that runs clients, or the server "elsewhere". The function that it returns ends it.
func startClients(b *testing.B, kind, socket string) (stop func()) {
	b.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), clientsVariable+"="+kind, socketVariable+"="+socket)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond) // until they have connected
	return func() { cmd.Process.Kill(); cmd.Wait() }
}
