package importer

import (
	"regexp"
	"slices"
	"strings"
)

// uciLine matches lines of OpenWrt's UCI: in a file below /etc/config, as `uci export` prints it, and as `uci show` does.
var uciLine = regexp.MustCompile(`^((config|option|list|package)\s+['"\w]|dhcp\.[^=\s]+=)`)

func isOpenWrtLine(line string, words []string) bool {
	return uciLine.MatchString(line) && !isDHCPDLine(line, words)
}

// A uciSection is a section of a UCI file with its options. An option of a list has several values.
type uciSection struct {
	line   int
	kind   string
	values map[string][]string
	broken bool // a line of it is wrong, so it may have more values
}

// readOpenWrt reads the hosts in OpenWrt's /etc/config/dhcp.
func (s *source) readOpenWrt() {
	for _, section := range s.parseUCI() {
		if section.kind == "host" {
			s.addOpenWrtHost(section)
		}
	}
}

// addOpenWrtHost adds a host. Its option mac may be a list, or have several MACs with blanks between.
func (s *source) addOpenWrtHost(host *uciSection) {
	macs := strings.Fields(strings.Join(host.values["mac"], " "))
	addresses := host.values["ip"]
	name := strings.Join(host.values["name"], " ")
	what := describe(append(slices.Concat(macs, addresses), name)...)
	switch {
	case host.broken && (len(addresses) == 0 || len(macs) == 0): // the line is reported
	case len(addresses) == 1 && addresses[0] == "ignore":
		s.ignore(host.line, what, "dnsmasq ignores this host")
	case len(addresses) == 0 || addresses[0] == "":
		s.ignore(host.line, what, "no fixed address; dnsmasq's leases show its current one")
	case len(addresses) > 1:
		s.leaveOut(host.line, what, "more than one address; write a host for each")
	case len(macs) == 0:
		s.leaveOut(host.line, what, "no MAC; a binding needs one")
	case len(macs) > 1:
		s.leaveOut(host.line, what, "more than one MAC; an address has one owner, so write the MAC that uses it")
	default:
		s.addHost(host.line, addresses[0], macs[0], name)
	}
}

// parseUCI returns the sections of a UCI file. It reports lines that are none of UCI, and reads on.
func (s *source) parseUCI() []*uciSection {
	p := uciParser{source: s, shown: map[string]*uciSection{}}
	for line, statement := range uciStatements(s.data) {
		if !statement.ended {
			p.reject(line, "a quote without its partner")
			continue
		}
		if words := statement.words; len(words) > 0 {
			p.add(line, words)
		}
	}
	return p.sections
}

type uciParser struct {
	*source
	sections []*uciSection
	shown    map[string]*uciSection // by the name that `uci show` gives them
}

func (p *uciParser) add(line int, words []string) {
	isValue := len(words) == 3 && len(p.sections) > 0
	switch keyword := words[0]; {
	case keyword == "package":
	case keyword == "config" && (len(words) == 2 || len(words) == 3):
		p.begin(line, words[1])
	case keyword == "option" && isValue:
		p.last().values[words[1]] = []string{words[2]}
	case keyword == "list" && isValue:
		p.last().values[words[1]] = append(p.last().values[words[1]], words[2])
	case !p.addShown(line, words):
		p.reject(line, "want config TYPE, option NAME VALUE or list NAME VALUE, as UCI has them")
	}
}

// reject reports a line, and marks the section that it is in.
func (p *uciParser) reject(line int, why string) {
	p.leaveOut(line, "", "%s", why)
	if len(p.sections) > 0 {
		p.last().broken = true
	}
}

func (p *uciParser) last() *uciSection { return p.sections[len(p.sections)-1] }

func (p *uciParser) begin(line int, kind string) {
	p.sections = append(p.sections, &uciSection{line: line, kind: kind, values: map[string][]string{}})
}

var shownValue = regexp.MustCompile(`^[\w-]+\.([^.=]+)(?:\.(\w+))?=(?s:(.*))$`)

// addShown adds a line of `uci show`: dhcp.@host[0]=host, then dhcp.@host[0].ip='192.0.2.1'. The items of a list are
// words of the line.
func (p *uciParser) addShown(line int, words []string) bool {
	found := shownValue.FindStringSubmatch(words[0])
	if found == nil {
		return false
	}
	name, option, value := found[1], found[2], found[3]
	if option == "" {
		p.begin(line, value)
		p.shown[name] = p.last()
		return len(words) == 1
	}
	section := p.shown[name]
	if section != nil {
		section.values[option] = append([]string{value}, words[1:]...)
	}
	return section != nil
}

// A uciStatement is a line of UCI, or several with a quoted line end, as words without their quotes.
type uciStatement struct {
	words []string
	ended bool // each quote has its partner
}

// uciStatements yields statements with the lines on which they begin.
func uciStatements(data string) func(func(int, uciStatement) bool) {
	return func(yield func(int, uciStatement) bool) {
		for line := 1; data != ""; {
			statement, length := parseUCIStatement(data)
			if uciInside.MatchString(data[:length]) {
				statement.ended = false
			}
			if !statement.ended { // then only its first line is wrong
				length = orAll(strings.IndexByte(data, '\n'), data)
			}
			if !yield(line, statement) {
				return
			}
			length = min(length+1, len(data))
			line += strings.Count(data[:length], "\n")
			data = data[length:]
		}
	}
}

// uciInside matches a value with another statement in it, because a quote before has no partner.
var uciInside = regexp.MustCompile(`\n\s*(config|option|list|package)\s`)

// maxUCIStatement is the longest statement that libuci reads. It limits how far a quote without a partner is followed.
const maxUCIStatement = 4096

// parseUCIStatement parses a statement at the start of data, and returns its length without the line end or the semicolon
// after it. Quoted and unquoted parts without a blank between are one word: 'it'\”s' is it's.
func parseUCIStatement(data string) (statement uciStatement, length int) {
	data = data[:min(len(data), maxUCIStatement)]
	var word strings.Builder
	inWord, quote := false, byte(0)
	endWord := func() {
		if inWord {
			statement.words = append(statement.words, word.String())
			word.Reset()
			inWord = false
		}
	}
	for at := 0; at < len(data); at++ {
		c := data[at]
		switch {
		case c == '\\' && quote != '\'' && at+1 < len(data):
			at++
			if data[at] != '\n' {
				inWord = true
				word.WriteByte(data[at])
			}
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			inWord, quote = true, c
		case quote == 0 && (c == '\n' || c == ';'):
			endWord()
			return uciStatement{statement.words, true}, at
		case quote == 0 && c == '#' && !inWord:
			endWord()
			return uciStatement{statement.words, true}, orAll(strings.IndexByte(data, '\n'), data)
		case quote == 0 && strings.IndexByte(" \t\r", c) >= 0:
			endWord()
		default:
			inWord = true
			word.WriteByte(c)
		}
	}
	endWord()
	return uciStatement{statement.words, quote == 0}, len(data)
}
