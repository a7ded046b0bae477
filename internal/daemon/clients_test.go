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

// clientsVariable and socketVariable make the test program be clients of the fabric on a socket.
const (
	clientsVariable = "ARPFABRIC_CLIENTS"
	socketVariable  = "ARPFABRIC_SOCKET"
)

const manyClients = 64

// kinds are the clients that there are, and what they are compared with. Each begins anew whenever it is thrown out.
var kinds = map[string]func(socket string){
	// send a byte of their requests every now and then
	"slow": func(socket string) {
		crowd(socket, func(conn net.Conn) error {
			for {
				if _, err := io.WriteString(conn, "G"); err != nil {
					return err
				}
				time.Sleep(50 * time.Millisecond)
			}
		})
	},
	// ask for violations, or for events, and never read what they are sent
	"deaf": func(socket string) {
		crowd(socket, func(conn net.Conn) error {
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
	// ask for events, as many as may, and read them
	"hearing": func(socket string) {
		crowd(socket, func(conn net.Conn) error {
			fmt.Fprint(conn, "GET /v1/events HTTP/1.1\r\nHost: arpfabric\r\n\r\n")
			_, err := io.Copy(io.Discard, conn)
			return err
		})
	},
	// ask as fast as they are answered
	"greedy": func(socket string) {
		crowd(socket, func(conn net.Conn) error {
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
	// `arpfabric watch`, but that it writes nothing
	"watch": func(socket string) {
		err := api.NewClient(socket).Watch(context.Background(), event.Filter{}, func() (func(api.Event) error, error) {
			return func(api.Event) error { return nil }, nil
		})
		log.Fatal(err)
	},
	// no client, but the API of a fabric that has as many verdicts as the one that is measured, and no guests
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
		log.Fatal(api.Serve(context.Background(), l, f, slog.Default()))
	},
}

// idleFabric answers the questions that the clients ask.
type idleFabric struct {
	api.Fabric
	event.Stream
}

func (f *idleFabric) Status() api.Status { return api.Status{} }

func (f *idleFabric) Violations() []api.Violation { return nil }

func (f *idleFabric) Listen(filter event.Filter, room int) *event.Listener {
	return f.Stream.Listen(filter, room)
}

// crowd has many clients do something with a connection each.
func crowd(socket string, do func(net.Conn) error) {
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

// beClients is what this process does if it was started for it.
func beClients() {
	if be, ok := kinds[os.Getenv(clientsVariable)]; ok {
		be(os.Getenv(socketVariable))
	}
}

// startClients starts a process of clients. They go with the function that it returns.
func startClients(b *testing.B, kind, socket string) (stop func()) {
	b.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), clientsVariable+"="+kind, socketVariable+"="+socket)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond) // in which they connect
	return func() { cmd.Process.Kill(); cmd.Wait() }
}
