package imports

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"github.com/arpfabric/arpfabric/responder"
)

// parseAddress reads the IPv4 address of one host, or any IPv6 address.
func parseAddress(text string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(text)
	switch {
	case text == "":
		return addr, fmt.Errorf("there is no address")
	case err != nil && looksLikeName(text):
		return addr, fmt.Errorf("%s is a name, and names are not resolved: write the IPv4 address", quote(text))
	case err != nil:
		return addr, fmt.Errorf("%s is not an IPv4 address", quote(text))
	case addr.Is4() && !isHost(addr):
		return addr, fmt.Errorf("%s is an address that no host can have", addr)
	}
	return addr, nil
}

// isHost reports whether one host can have an IPv4 address: it is not in 0.0.0.0/8, 127.0.0.0/8, or in what
// is for multicast and reserved, 224.0.0.0/3 (RFC 6890).
func isHost(addr netip.Addr) bool {
	first := addr.As4()[0]
	return first != 0 && first != 127 && first < 224
}

func isAddress(text string) bool {
	_, err := netip.ParseAddr(text)
	return err == nil
}

// looksLikeName reports whether text is more likely a host's name than a mistyped address.
func looksLikeName(text string) bool {
	return plainName.MatchString(text) && strings.ContainsFunc(text, isLetter)
}

func isLetter(c rune) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// parseMAC reads the MAC of one host, also one whose numbers have no leading zeros, as in ethers(5).
func parseMAC(text string) (responder.MAC, error) {
	if text == "" {
		return responder.MAC{}, fmt.Errorf("there is no MAC")
	}
	mac, err := responder.ParseMAC(withZeros(text))
	switch {
	case err != nil:
		return mac, fmt.Errorf("%s is not a MAC", quote(text))
	case !mac.IsUnicast():
		return mac, fmt.Errorf("%s is not the MAC of one host (it is zero, broadcast or multicast)", mac)
	}
	return mac, nil
}

// withZeros gives the numbers in a MAC two digits each.
func withZeros(mac string) string {
	numbers := strings.Split(mac, ":")
	for i, number := range numbers {
		if len(number) == 1 {
			numbers[i] = "0" + number
		}
	}
	return strings.Join(numbers, ":")
}

func isMAC(text string) bool {
	_, err := responder.ParseMAC(withZeros(text))
	return err == nil
}

func isNumber(text string) bool {
	_, err := strconv.ParseUint(text, 10, 64)
	return err == nil
}

// plainName is what names are made of that need no quotes anywhere.
var plainName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)

// How many bytes the names of networks and interfaces may have.
const (
	longestNetwork   = 63 // package config
	longestInterface = 15 // the kernel's IFNAMSIZ
	longestHost      = 253
)

func isPlain(name string, longest int) bool {
	return len(name) <= longest && plainName.MatchString(name)
}

// hostName returns the name for a binding. It is for people, so one that is none, such as dnsmasq's "*", or
// that a guest has made up, is as good as absent.
func hostName(text string) string {
	text = strings.TrimSuffix(text, ".")
	if !isPlain(text, longestHost) {
		return ""
	}
	return text
}

// printable makes text from a file fit to be shown in one line: it is shortened where it is long, and between
// quotes where there is something in it that can't be printed.
func printable(text string) string {
	const most = 60
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return oneLine(text)
}

// oneLine puts text between quotes that can't be printed as it is.
func oneLine(text string) string {
	quoted := strconv.Quote(text)
	if quoted[1:len(quoted)-1] == text {
		return text
	}
	return quoted
}

// quote puts text from a file between quotes.
func quote(text string) string { return fmt.Sprintf("%.60q", text) }
