package fabric_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/loadgen"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// BenchmarkDataPath sends bulk TCP, UDP in the smallest Ethernet frames, and one small datagram at a time that the other returns,
// from one guest to another:
//
//	talker's eth0 --- bench0 --- br0 --- bench1 --- listener's eth0
//
// without a fabric, with the guard of few bindings, once more with forward: bridge, and with the guard of many. An op is a
// second of each, in turn, so that other load on the machine affects all alike. The metrics are medians: the share of the
// traffic that remains with a guard, and the traffic without one. The worst and the best op show the noise.
func BenchmarkDataPath(b *testing.B) {
	labtest.NeedProgram(b, "iperf3")
	talker, listener := addTalkers(b)
	startListening(b, listener)
	startEchoing(b, listener)
	guards := []benchGuard{{10, false}, {10, true}}
	for _, size := range benchSizes()[2:] {
		guards = append(guards, benchGuard{size, false})
	}
	kinds := []traffic{bulkTCP, smallUDP, pingPong}
	seen := map[string][]float64{}
	for range b.N {
		for _, kind := range kinds {
			without := kind.send(b, talker)
			seen[kind.unit] = append(seen[kind.unit], without)
			for _, guard := range guards {
				ratio := fmt.Sprintf("%s-ratio-%s", kind.name, guard)
				seen[ratio] = append(seen[ratio], guard.rate(b, talker, kind)/without)
			}
		}
	}
	for unit, values := range seen {
		b.ReportMetric(median(values), unit)
		b.ReportMetric(slices.Min(values), unit+"-worst")
		b.ReportMetric(slices.Max(values), unit+"-best")
	}
}

// benchSizes returns the numbers of bindings to measure with. 0 stands for no fabric.
func benchSizes() []int {
	sizes := []int{0, 10, 100_000}
	if !testing.Short() {
		sizes = append(sizes, 1_000_000)
	}
	return sizes
}

// traffic is a kind of traffic. send sends it for a second, and returns the rate at the receiver.
type traffic struct {
	name, unit string
	send       func(b *testing.B, talker *lab.Guest) (rate float64)
}

var (
	bulkTCP = traffic{"tcp", "tcp-Mbit/s", func(b *testing.B, talker *lab.Guest) float64 {
		return iperf(b, talker).End.Received.BitsPerSecond / 1e6
	}}
	smallUDP = traffic{"udp", "udp-packets/s", func(b *testing.B, talker *lab.Guest) float64 {
		sum := iperf(b, talker, strings.Fields("-u -l 18 -b 0")...).End.Sum
		return float64(sum.Packets-sum.Lost) / sum.Seconds
	}}
	pingPong = traffic{"ping-pong", "round-trips/s", roundTrips}
)

// iperfReport has the fields of the output of `iperf3 --json` that the benchmark needs.
type iperfReport struct {
	Error string
	End   struct {
		Sum struct {
			Packets int
			Lost    int `json:"lost_packets"`
			Seconds float64
		}
		Received struct {
			BitsPerSecond float64 `json:"bits_per_second"`
		} `json:"sum_received"`
	}
}

// benchGuard says with which fabric a benchmark sends.
type benchGuard struct {
	bindings      int
	throughBridge bool // forward: bridge
}

func (g benchGuard) String() string {
	if g.throughBridge {
		return fmt.Sprintf("%d-bridge", g.bindings)
	}
	return fmt.Sprint(g.bindings)
}

// rate sends for a second.
func (g benchGuard) rate(b *testing.B, talker *lab.Guest, kind traffic) float64 {
	b.Helper()
	n := benchNetwork(b, config.Attachment{Bridge: "br0"}, g.bindings)
	n.RateLimit, n.ThroughBridge = defaultRate, g.throughBridge
	defer startBench(b, n)()
	waitUntilIdle(b)
	return kind.send(b, talker)
}

// waitUntilIdle waits until the fabric, which has just started, has done what large registries make it do: read the kernel's
// notifications of each element, and collect garbage.
func waitUntilIdle(b *testing.B) {
	b.Helper()
	const pause, idle = 200 * time.Millisecond, 10 * time.Millisecond
	labtest.Eventually(b, "the fabric is idle", func() bool {
		before := cpuTime(b)
		time.Sleep(pause)
		return cpuTime(b)-before < idle
	})
}

// cpuTime returns the CPU time that this process has used.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var used unix.Rusage
	labtest.Must(b, unix.Getrusage(unix.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func iperf(b *testing.B, talker *lab.Guest, options ...string) (report iperfReport) {
	b.Helper()
	options = append(strings.Fields("--json -t 1 -c "+benchBinding(2).First.String()), options...)
	out, err := talker.Run(context.Background(), "iperf3", options...)
	if e := json.Unmarshal([]byte(out), &report); err != nil || e != nil || report.Error != "" {
		b.Fatalf("iperf3: %v: %s", err, out)
	}
	return report
}

// echoPort is the UDP port of the listener that returns what it receives.
const echoPort = 7

// startEchoing returns datagrams to their senders, until the benchmark ends.
func startEchoing(b *testing.B, listener *lab.Guest) {
	b.Helper()
	var conn *net.UDPConn
	labtest.Must(b, listener.Do(func() (err error) {
		conn, err = net.ListenUDP("udp4", &net.UDPAddr{Port: echoPort})
		return err
	}))
	b.Cleanup(func() { conn.Close() })
	go func() {
		var buf [64]byte
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf[:])
			if err != nil {
				return
			}
			conn.WriteToUDPAddrPort(buf[:n], from)
		}
	}()
}

// roundTrips sends a datagram to the listener for each one that returns.
func roundTrips(b *testing.B, talker *lab.Guest) (rate float64) {
	b.Helper()
	var conn *net.UDPConn
	labtest.Must(b, talker.Do(func() (err error) {
		conn, err = net.DialUDP("udp4", nil, &net.UDPAddr{IP: benchBinding(2).First.AsSlice(), Port: echoPort})
		return err
	}))
	defer conn.Close()
	labtest.Must(b, conn.SetReadDeadline(time.Now().Add(labtest.Patience)))
	var buf [18]byte
	count, start := 0, time.Now()
	for ; time.Since(start) < time.Second; count++ {
		if _, err := conn.Write(buf[:]); err != nil {
			b.Fatal(err)
		}
		if _, err := conn.Read(buf[:]); err != nil {
			b.Fatal(err)
		}
	}
	return float64(count) / time.Since(start).Seconds()
}

// addTalkers makes two guests, which own the first two bindings.
func addTalkers(b *testing.B) (talker, listener *lab.Guest) {
	b.Helper()
	bridge := addBenchBridge(b, "br0")
	return addTalkerOn(b, bridge, 1, "talker"), addTalkerOn(b, bridge, 2, "listener")
}

func addBenchBridge(b *testing.B, name string) string {
	b.Helper()
	if err := lab.AddBridge(name); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { lab.DeleteLink(name) })
	return name
}

func addTalkerOn(b *testing.B, bridge string, i int, name string) *lab.Guest {
	b.Helper()
	binding := benchBinding(i)
	guest, err := lab.AddGuest(lab.GuestConfig{
		Name: name, Port: fmt.Sprintf("bench%d", i-1), Bridge: bridge, MAC: binding.MAC[:],
		Addr: netip.PrefixFrom(binding.First, 24),
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { guest.Delete() })
	return guest
}

// startListening starts iperf3's server, until the benchmark ends.
func startListening(b *testing.B, guest *lab.Guest) {
	b.Helper()
	cmd := exec.Command("iperf3", "--server", "--forceflush")
	said, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := guest.Start(cmd); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	lines := bufio.NewScanner(said)
	for lines.Scan() && !strings.Contains(lines.Text(), "listening") {
	}
	go io.Copy(io.Discard, said) // a report about each test
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// BenchmarkStart starts a fabric with many bindings on a bridge that knows its guest, as after a restart. The metrics are the times
// until the guest's first answer, and until the whole guard is in force. Reading the configuration is not part of it.
func BenchmarkStart(b *testing.B) {
	talker, _ := addTalkers(b)
	capture, err := talker.StartCapture()
	labtest.Must(b, err)
	b.Cleanup(func() { capture.Close() })
	request := lab.Request(talker.MAC, talker.Addr.Addr(), benchBinding(3).First).Frame() // which only the fabric answers
	for _, size := range benchSizes()[1:] {
		b.Run(fmt.Sprintf("bindings=%d", size), func(b *testing.B) {
			n := benchNetwork(b, config.Attachment{Bridge: "br0"}, size)
			for range b.N {
				before, start := countAnswers(capture), time.Now()
				running := make(chan func())
				go func() { running <- startBench(b, n) }()
				for countAnswers(capture) == before {
					labtest.Must(b, capture.Send(request))
					time.Sleep(time.Millisecond)
				}
				b.ReportMetric(time.Since(start).Seconds(), "s-to-answer")
				stop := <-running
				b.ReportMetric(time.Since(start).Seconds(), "s-to-guard")
				stop()
			}
		})
	}
}

// BenchmarkPorts starts a fabric on a bridge with 500 ports, and then adds one with a guest. The metrics are the times until
// the fabric is ready, and from the new port's joining until its guest's first answer, with which the port is guarded.
func BenchmarkPorts(b *testing.B) {
	const ports = 500
	addPorts(b, addTalkerOn(b, addBenchBridge(b, bridgeName), 1, "far"), ports)
	b.Cleanup(func() {
		for i := range ports {
			lab.DeleteLink(fmt.Sprint("many", i))
		}
	})
	n := benchNetwork(b, config.Attachment{Bridge: bridgeName}, 1000)
	for range b.N {
		start := time.Now()
		stop := startBench(b, n)
		b.ReportMetric(time.Since(start).Seconds(), "s-to-ready")
		b.ReportMetric(timeToAnswer(b).Seconds(), "s-to-answer")
		stop()
	}
}

// timeToAnswer returns the time from the joining of a new port to its guest's first answer.
func timeToAnswer(b *testing.B) time.Duration {
	b.Helper()
	newcomer := addTalkerOn(b, "", 2, "newcomer")
	defer newcomer.Delete()
	capture, err := newcomer.StartCapture()
	labtest.Must(b, err)
	defer capture.Close()
	request := lab.Request(newcomer.MAC, newcomer.Addr.Addr(), benchBinding(3).First).Frame()
	start := time.Now()
	labtest.Must(b, lab.SetMaster(newcomer.Port, bridgeName))
	for countAnswers(capture) == 0 {
		labtest.Must(b, capture.Send(request))
		time.Sleep(time.Millisecond)
	}
	return time.Since(start)
}

// countAnswers returns the number of ARP replies that a guest has received.
func countAnswers(c *lab.Capture) (n int) {
	for _, f := range c.Frames() {
		const operation, reply = 21, 2
		if !f.Sent && lab.CarriesARP(f.Frame) && f.Frame[operation] == reply {
			n++
		}
	}
	return n
}

// BenchmarkTAPs sends UDP in the smallest Ethernet frames from one virtual machine's TAP to another's, as BenchmarkDataPath does
// between guests. What the machines themselves would do with the frames is not part of it.
func BenchmarkTAPs(b *testing.B) {
	labtest.NeedTUN(b)
	addBenchBridge(b, "br0")
	var vms [2]*virtualMachine
	for i := range vms {
		binding := benchBinding(i + 1)
		vms[i] = addVM(b, fmt.Sprintf("bench%d", i), binding.MAC[:], binding.First)
	}
	rates := map[int][]float64{}
	sizes := benchSizes()
	for range b.N {
		for _, size := range sizes {
			rates[size] = append(rates[size], tapRate(b, vms, size))
		}
	}
	b.ReportMetric(median(rates[0]), "frames/s")
	for _, size := range sizes[1:] {
		b.ReportMetric(median(rates[size])/median(rates[0]), fmt.Sprintf("ratio-%d", size))
	}
}

// tapRate sends for a second from the first virtual machine to the second, with a fabric with a number of bindings, or without a
// fabric if bindings is 0, and returns the frames that arrive in a second.
func tapRate(b *testing.B, vms [2]*virtualMachine, bindings int) float64 {
	b.Helper()
	datagram := func(from, to *virtualMachine) []byte {
		p := packet{to: to.mac, from: from.mac, src: from.addr, dst: to.addr, udp: true, srcPort: 1000, dstPort: 9}
		return append(make([]byte, virtioHeaderLen), append(p.frame(), make([]byte, 18)...)...)
	}
	for i, vm := range vms { // so that both are known
		if _, err := unix.Write(vm.tap, datagram(vm, vms[1-i])); err != nil {
			b.Fatal(err)
		}
	}
	if bindings > 0 {
		n := benchNetwork(b, config.Attachment{Bridge: "br0"}, bindings)
		n.RateLimit = defaultRate
		defer startBench(b, n)()
		waitUntilIdle(b)
	}
	arrived := countFrames(b, vms[1])
	start := time.Now()
	for frame := datagram(vms[0], vms[1]); time.Since(start) < time.Second; {
		if _, err := unix.Write(vms[0].tap, frame); err != nil {
			b.Fatal(err)
		}
	}
	return float64(arrived()) / time.Since(start).Seconds()
}

// countFrames reads what arrives at a virtual machine until stop is called, which returns the number of frames.
func countFrames(b *testing.B, vm *virtualMachine) (stop func() int) {
	b.Helper()
	labtest.Must(b, unix.SetNonblock(vm.tap, true))
	var isOver atomic.Bool
	count := make(chan int)
	go func() {
		n := 0
		var buf [2048]byte
		for !isOver.Load() {
			if _, err := unix.Read(vm.tap, buf[:]); err == nil {
				n++
			} else {
				unix.Poll([]unix.PollFd{{Fd: int32(vm.tap), Events: unix.POLLIN}}, 10)
			}
		}
		count <- n
	}()
	return func() int {
		isOver.Store(true)
		return <-count
	}
}

// BenchmarkFlood lets a guest send requests while another one floods its own port with requests, far over the rate
// limit. An op is a thousand requests without the flood, a thousand with it, a thousand while the same flood fills a bridge
// without a fabric, which shows the effect of the CPU time that the sender of the flood uses, and a thousand without and with
// the flood where each guest has a processor of its own. The metrics are medians: the time within which 99 of 100 answers
// arrived without the flood, the factor with each flood, and the rate of the flood.
func BenchmarkFlood(b *testing.B) {
	requester, flooder := addTalkers(b)
	elsewhere := addTalkerOn(b, addBenchBridge(b, "br1"), 3, "elsewhere")
	n := benchNetwork(b, config.Attachment{Bridge: "br0"}, 1000)
	n.RateLimit = defaultRate
	b.Cleanup(startBench(b, n))
	ask := func(start starter) float64 { return p99(b, start, pacedJob(1)) }
	under := func(flooder *lab.Guest, flood, requester starter) (latency, rate float64) {
		j := pacedJob(2)
		j.Flood = 200_000
		stop, err := loadgen.Flood(j, flood)
		labtest.Must(b, err)
		before, start := received(b, flooder.Port), time.Now()
		latency = ask(requester)
		rate = float64(received(b, flooder.Port)-before) / time.Since(start).Seconds()
		labtest.Must(b, stop())
		return latency, rate
	}
	var quiet, ratio, control, apart, floods []float64
	for range b.N {
		without := ask(requester.Start)
		with, rate := under(flooder, flooder.Start, requester.Start)
		besides, _ := under(elsewhere, elsewhere.Start, requester.Start)
		withoutApart := ask(onProcessor(requester, 1))
		withApart, _ := under(flooder, onProcessor(flooder, 0), onProcessor(requester, 1))
		quiet, floods = append(quiet, without), append(floods, rate)
		ratio, control = append(ratio, with/without), append(control, besides/without)
		apart = append(apart, withApart/withoutApart)
	}
	b.ReportMetric(median(quiet), "quiet-p99-ns")
	b.ReportMetric(median(ratio), "p99-ratio")
	b.ReportMetric(median(control), "p99-ratio-elsewhere")
	b.ReportMetric(median(apart), "p99-ratio-apart")
	b.ReportMetric(median(floods), "flood/s")
}

// pacedJob returns requests of the owner of a binding, which keep to the rate limit.
func pacedJob(i int) loadgen.Job {
	j := loadgen.Job{
		Interface: "eth0", Sender: benchBinding(i).First, Requests: 1000, Burst: 1, Pause: 200 * time.Microsecond,
	}
	for _, binding := range benchBindings(3, 1001) {
		j.Targets = append(j.Targets, binding.First)
	}
	return j
}

// A starter starts a program.
type starter = func(*exec.Cmd) error

// onProcessor returns a starter in a guest whose programs stay on one processor.
func onProcessor(guest *lab.Guest, number int) starter {
	return func(cmd *exec.Cmd) error {
		return guest.Do(func() error {
			var one unix.CPUSet // of this thread, which ends with the function
			one.Set(number % runtime.NumCPU())
			if err := unix.SchedSetaffinity(0, &one); err != nil {
				return err
			}
			return cmd.Start()
		})
	}
}

func p99(b *testing.B, start starter, j loadgen.Job) float64 {
	b.Helper()
	result, err := loadgen.Run(j, start)
	if err != nil {
		b.Fatal(err)
	}
	if result.Lost > 0 {
		b.Logf("%d requests were lost", result.Lost)
	}
	return float64(result.P99)
}

// received returns the number of frames that a port has received from its guest.
func received(t testing.TB, port string) uint64 {
	t.Helper()
	l, err := netlink.LinkByName(port)
	if err != nil {
		t.Fatal(err)
	}
	return l.Attrs().Statistics.RxPackets
}
