package importer

import (
	"encoding/csv"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"unicode"
)

// The names of columns, without blanks, punctuation and capitals, the preferred first. They are those of NetBox, phpIPAM,
// Windows' DHCP server, and of tables that people write.
var (
	addressColumns = []string{"ipaddress", "ipv4address", "ipaddr", "ipv4addr", "ipv4", "ip4", "ip", "address", "addr",
		"ipaddresses", "ipv4addresses", "primaryip4", "primaryipv4", "primaryip", "inet", "hostip", "reservedip", "fixedip",
		"fixedaddress", "fixedipaddress"}
	macColumns = []string{"macaddress", "mac", "macaddr", "macaddresses", "primarymacaddress", "hwaddr", "hwaddress",
		"hardwareaddress", "physicaladdress", "ethernetaddress", "lladdr", "ether", "ethernet", "clientid"}
	nameColumns = []string{"hostname", "dnsname", "fqdn", "clienthostname", "computername", "virtualmachine", "vmname", "vm",
		"devicename", "device", "name", "host"}
)

// A csvTable is where the columns of a table are.
type csvTable struct {
	line               int // of the header
	comma              rune
	columns            int
	address, mac, name int // name is -1 if no column has it
	header             []string
	others             []int // more columns for addresses or MACs, which are not imported
}

// maxCSVTitle is the number of lines that may come before the header, such as a title.
const maxCSVTitle = 10

// findCSVHeader finds the line that names the columns.
func (s *source) findCSVHeader() (csvTable, bool) {
	seen := 0
	for number, line := range s.lines() {
		for _, comma := range ",;\t|" {
			table := parseCSVHeader(line, comma)
			if table.line = number; table.address >= 0 && table.mac >= 0 {
				return table, true
			}
		}
		if seen++; seen == maxCSVTitle {
			break
		}
	}
	return csvTable{}, false
}

func parseCSVHeader(line string, comma rune) csvTable {
	cells, err := parseCSV(line, comma)
	if err != nil {
		return csvTable{address: -1, mac: -1}
	}
	columns, header := 0, slices.Clone(cells)
	for i, cell := range cells {
		if cells[i] = columnName(cell); cells[i] != "" {
			columns = i + 1 // superfluous commas are no columns
		}
	}
	t := csvTable{comma: comma, columns: columns, header: header,
		address: column(cells, addressColumns), mac: column(cells, macColumns), name: column(cells, nameColumns)}
	for i, cell := range cells {
		if i != t.address && i != t.mac && isOtherColumn(cell) {
			t.others = append(t.others, i)
		}
	}
	return t
}

// isOtherColumn reports whether a column that is not the first of its kind may hold addresses or MACs, as "MAC Address 2"
// or "Secondary IP" do.
func isOtherColumn(name string) bool {
	name = withoutNumber(name)
	return slices.ContainsFunc(slices.Concat(addressColumns, macColumns), func(known string) bool {
		known = withoutNumber(known)
		return strings.HasPrefix(name, known) || strings.HasSuffix(name, known)
	})
}

// isHostColumn reports whether a column is called as the one of addresses or MACs is, except for a number.
func isHostColumn(name string) bool {
	return slices.ContainsFunc(slices.Concat(addressColumns, macColumns), func(known string) bool {
		return withoutNumber(known) == withoutNumber(name)
	})
}

func withoutNumber(name string) string { return strings.TrimRight(name, "0123456789") }

// columnName returns the letters and digits of a column's name: "IP Address" and "ip_address" are the same. NetBox puts
// "cf_" before the name of a custom field.
func columnName(cell string) string {
	cell = strings.TrimPrefix(strings.TrimSpace(cell), "cf_")
	return strings.Map(func(c rune) rune {
		if unicode.IsLetter(c) || unicode.IsDigit(c) {
			return unicode.ToLower(c)
		}
		return -1
	}, cell)
}

// column returns the number of the column with the first of the names that is there, or -1.
func column(header, names []string) int {
	for _, name := range names {
		if i := slices.Index(header, name); i >= 0 {
			return i
		}
	}
	return -1
}

// parseCSV returns the cells of one row.
func parseCSV(text string, comma rune) ([]string, error) {
	if !strings.Contains(text, `"`) {
		cells := strings.Split(strings.TrimRight(text, "\r\n"), string(comma))
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		return cells, nil
	}
	r := csv.NewReader(strings.NewReader(text))
	r.Comma, r.TrimLeadingSpace = comma, comma != '\t'
	return r.Read()
}

// readCSV reads a table with a column for addresses and one for MACs.
func (s *source) readCSV() {
	table, ok := s.findCSVHeader()
	if !ok {
		s.leaveOut(0, "", "%s", csvColumns)
		return
	}
	lines := strings.SplitAfter(s.data, "\n")
	unused := map[int]bool{}
	for at := table.line; at < len(lines); {
		cells, length, err := table.record(lines[at:])
		switch {
		case strings.TrimSpace(lines[at]) == "":
		case err != nil:
			s.leaveOut(at+1, "", "invalid CSV: %s", csvProblem(err))
		case len(cells) < table.columns:
			s.leaveOut(at+1, "", "there are %d values for %d columns", len(cells), table.columns)
		default:
			s.addCSVRow(at+1, table, cells)
			s.reportUnused(at+1, table, cells, unused)
		}
		at += length
	}
}

// csvProblem says what is wrong in a row.
func csvProblem(err error) string {
	switch {
	case errors.Is(err, csv.ErrQuote):
		return `a value begins with a quote (") and does not end with one`
	case errors.Is(err, csv.ErrBareQuote):
		return `a quote (") inside a value: put the value between quotes, and double the quote`
	}
	return err.Error()
}

const csvColumns = "no line names the columns: want a first line such as name,address,mac"

// maxCSVRecord is the number of lines of a row. A comment in a cell may have several.
const maxCSVRecord = 100

// record returns the cells of the row that begins at the first of lines, and the number of its lines. A row goes on as
// long as a quote has no partner, unless that makes no sense: then only the first line is wrong.
func (t csvTable) record(lines []string) (cells []string, length int, err error) {
	open := false
	for i := range lines[:min(len(lines), maxCSVRecord)] {
		open = open != (strings.Count(lines[i], `"`)%2 == 1)
		if open {
			continue
		}
		cells, err := parseCSV(strings.Join(lines[:i+1], ""), t.comma)
		if err == nil && len(cells) >= t.columns || i == 0 {
			return cells, i + 1, err
		}
		break
	}
	_, err = parseCSV(lines[0], t.comma)
	return nil, 1, err
}

// addCSVRow adds the host of a row with each of its addresses.
func (s *source) addCSVRow(line int, t csvTable, cells []string) {
	mac, name := known(cells[t.mac]), ""
	if t.name >= 0 {
		name = known(cells[t.name])
	}
	addresses := splitAddresses(cells[t.address])
	switch {
	case len(addresses) == 0 && mac == "":
		s.ignore(line, describe(name), "no address and no MAC")
	case len(addresses) == 0:
		s.ignore(line, describe(mac, name), "no address")
	case mac == "":
		s.leaveOut(line, describe(append(addresses, name)...), "no MAC; a binding needs one")
	}
	for _, address := range addresses {
		if mac != "" {
			s.addCSVHost(line, address, mac, name)
		}
	}
}

// reportUnused reports the first address or MAC of each column that is not imported. It is not known which address belongs
// to which MAC if a row has several of both.
func (s *source) reportUnused(line int, t csvTable, cells []string, reported map[int]bool) {
	for _, i := range t.others {
		value := known(cells[i])
		kind, used := "addresses", t.address
		if isMAC(value) {
			kind, used = "MACs", t.mac
		}
		if reported[i] || !hasHost(value) || sameHost(value, cells[used]) {
			continue
		}
		reported[i] = true
		report := s.ignore // such as the address of a gateway
		if isHostColumn(columnName(t.header[i])) {
			report = s.leaveOut
		}
		report(line, describe(value), "this column, %s, is not imported, because column %s has the %s: write a row for each pair",
			quote(t.header[i]), quote(t.header[used]), kind)
	}
}

// hasHost reports whether a cell is a MAC, or IPv4 addresses of hosts.
func hasHost(cell string) bool {
	return isMAC(cell) || slices.ContainsFunc(splitAddresses(cell), func(text string) bool {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			addr, _ := netip.ParseAddr(text)
			return addr.Is4() && isHost(addr)
		}
		return prefix.Addr().Is4() && (prefix.Addr() != prefix.Masked().Addr() || prefix.Bits() >= 31)
	})
}

// sameHost reports whether two cells have the same MAC, or whether the second has every address of the first.
func sameHost(a, b string) bool {
	mac, err := parseMAC(a)
	other, err2 := parseMAC(known(b))
	if err == nil {
		return err2 == nil && mac == other
	}
	in := splitAddresses(b)
	return !slices.ContainsFunc(splitAddresses(a), func(text string) bool {
		return !slices.ContainsFunc(in, func(have string) bool { return withoutLength(have) == withoutLength(text) })
	})
}

func withoutLength(address string) string {
	address, _, _ = strings.Cut(address, "/")
	return address
}

// splitAddresses splits a cell with several addresses.
func splitAddresses(cell string) []string {
	return strings.FieldsFunc(known(cell), func(c rune) bool { return unicode.IsSpace(c) || c == ',' || c == ';' })
}

// addCSVHost adds a host. A prefix length may follow its address.
func (s *source) addCSVHost(line int, address, mac, name string) {
	if prefix, err := netip.ParsePrefix(address); err == nil {
		if prefix.Addr() == prefix.Masked().Addr() && prefix.Addr().Is4() && prefix.Bits() < 31 {
			s.leaveOut(line, describe(address, name), "this is a subnet and not a host's address")
			return
		}
		address = prefix.Addr().String()
	}
	s.addHost(line, address, mac, name)
}

// known returns a cell without blanks around, or "" for the words that mean that there is no value.
func known(cell string) string {
	cell = strings.TrimSpace(cell)
	if slices.Contains([]string{"-", "—", "n/a", "none", "null"}, strings.ToLower(cell)) {
		return ""
	}
	return cell
}
