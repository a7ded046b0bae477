package importer

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"github.com/arpfabric/arpfabric/responder/registry"
)

// parseAddress reads the IPv4 address of one host, or any IPv6 address.
func parseAddress(text string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(text)
	switch {
	case text == "":
		return addr, fmt.Errorf("no address")
	case err != nil && looksLikeName(text):
		return addr, fmt.Errorf("%s is a name, and names are not resolved: write the IPv4 address", quote(text))
	case err != nil:
		return addr, fmt.Errorf("%s is not an IPv4 address", quote(text))
	case addr.Is4() && !isHost(addr):
		return addr, fmt.Errorf("%s is an address that no host can have", addr)
	}
	return addr, nil
}

// isHost reports whether a host can have an IPv4 address. It can't in 0.0.0.0/8 and 127.0.0.0/8, and in 224.0.0.0/3,
// which is for multicast and reserved (RFC 6890).
func isHost(addr netip.Addr) bool {
	first := addr.As4()[0]
	return first != 0 && first != 127 && first < 224
}

func isAddress(text string) bool {
	_, err := netip.ParseAddr(text)
	return err == nil
}

// looksLikeAddress reports whether text is more likely a mistyped IPv4 address than a host's name: it begins with two
// numbers and dots, it has only digits and punctuation, or three of its four parts are numbers.
func looksLikeAddress(text string) bool { return addressLike.MatchString(text) }

var addressLike = regexp.MustCompile(`^(\d+\.\d+[./].*|[\d./-]*\d[./][\d./-]*` +
	`|[\w-]+\.\d+\.\d+\.\d+|\d+\.[\w-]+\.\d+\.\d+|\d+\.\d+\.[\w-]+\.\d+)$`)

// looksLikeName reports whether text is more likely a host's name than a mistyped address.
func looksLikeName(text string) bool {
	return plainName.MatchString(text) && strings.ContainsFunc(text, isLetter) && !looksLikeAddress(text)
}

func isLetter(c rune) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// parseMAC reads the MAC of one host. Leading zeros may be missing, as in ethers(5).
func parseMAC(text string) (registry.MAC, error) {
	if text == "" {
		return registry.MAC{}, fmt.Errorf("no MAC")
	}
	mac, err := registry.ParseMAC(withZeros(text))
	switch {
	case err != nil:
		return mac, fmt.Errorf("%s is not a MAC", quote(text))
	case !mac.IsUnicast():
		return mac, fmt.Errorf("%s is not a unicast MAC (it is zero, broadcast or multicast)", mac)
	}
	return mac, nil
}

// withZeros pads the numbers in a MAC to two digits.
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
	_, err := registry.ParseMAC(withZeros(text))
	return err == nil
}

func isNumber(text string) bool {
	_, err := strconv.ParseUint(text, 10, 64)
	return err == nil
}

// plainName matches names that never need quotes.
var plainName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)

// The longest names, in bytes.
const (
	longestNetwork   = 63 // as in package config
	longestInterface = 15 // the kernel's IFNAMSIZ
	longestHost      = 253
)

func isPlain(name string, longest int) bool {
	return len(name) <= longest && plainName.MatchString(name)
}

// hostName returns the name for a binding, or "" if text is not a plain name, such as dnsmasq's "*" or an odd name that
// a guest chose. The name is only for people, so the binding is useful without it.
func hostName(text string) string {
	text = strings.TrimSuffix(text, ".")
	if !isPlain(text, longestHost) {
		return ""
	}
	return text
}

// printable prepares text from a file for a message: it shortens long text and quotes text with unprintable characters.
func printable(text string) string {
	const most = 60
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return oneLine(text)
}

// oneLine quotes text with unprintable characters.
func oneLine(text string) string {
	quoted := strconv.Quote(text)
	if quoted[1:len(quoted)-1] == text {
		return text
	}
	return quoted
}

// quote shortens and quotes text from a file.
func quote(text string) string { return fmt.Sprintf("%.60q", text) }
