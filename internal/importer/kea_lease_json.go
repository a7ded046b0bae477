package importer

import "strconv"

// keaAnswer returns the leases in the answer to Kea's command lease4-get-all, or nil. Kea's control agent wraps a list
// around answers.
func keaAnswer(root *node) []*node {
	for _, n := range append([]*node{root}, root.items...) {
		if leases := n.get("arguments").get("leases"); leases != nil {
			return leases.items
		}
	}
	return nil
}

func isKeaAnswer(root *node) bool { return keaAnswer(root) != nil }

// readKeaLeases reads kea-leases4.csv or the answer to lease4-get-all.
func (s *source) readKeaLeases() {
	if !s.beginsJSON() {
		s.readKeaLeasesFile()
		return
	}
	root := s.parseJSON()
	if root == nil {
		return
	}
	leases := keaAnswer(root)
	if leases == nil {
		s.leaveOut(root.line, "", "no leases; want the answer to Kea's command lease4-get-all")
	}
	for _, lease := range leases {
		s.addKeaLease(lease.line, map[string]string{
			"address": lease.string("ip-address"), "hwaddr": lease.string("hw-address"), "hostname": lease.string("hostname"),
			"state": lease.string("state"), "valid_lifetime": lease.string("valid-lft"), "expire": keaExpiry(lease),
		})
	}
}

// keaExpiry returns when a lease expires, in seconds since 1970: its lifetime after the client's last transaction.
func keaExpiry(lease *node) string {
	last, err := strconv.ParseInt(lease.string("cltt"), 10, 64)
	lifetime, err2 := strconv.ParseUint(lease.string("valid-lft"), 10, 32)
	if err != nil || err2 != nil || last < 0 {
		return ""
	}
	return strconv.FormatInt(last+int64(lifetime), 10)
}
