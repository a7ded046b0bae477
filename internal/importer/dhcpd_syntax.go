package importer

import "strings"

// A dhcpdBlock is a declaration of dhcpd.conf(5) with what is between its braces, or the whole file.
type dhcpdBlock struct {
	dhcpdStatement
	statements []*dhcpdStatement
	blocks     []*dhcpdBlock
}

// A dhcpdStatement is a statement up to its semicolon, as words without quotes and commas. The first one, the
// keyword, is in lower case.
type dhcpdStatement struct {
	line  int
	words []string
}

// kind returns the first word of a declaration, and argument the second one. They may be empty.
func (b *dhcpdBlock) kind() string     { return b.word(0) }
func (b *dhcpdBlock) argument() string { return b.word(1) }

func (b *dhcpdBlock) word(i int) string {
	if i >= len(b.words) {
		return ""
	}
	return b.words[i]
}

// find returns the last statement in a block that begins with a word, or with "option" and the word, or nil.
func (b *dhcpdBlock) find(word string) *dhcpdStatement {
	for i := len(b.statements) - 1; i >= 0; i-- {
		d := b.statements[i]
		if d.words[0] == word || d.words[0] == "option" && len(d.words) > 1 && isKeyword(d.words[1], word) {
			return d
		}
	}
	return nil
}

// values returns the values of the last statement that begins with a word, or with "option" and the word.
func (b *dhcpdBlock) values(word string) []string {
	d := b.find(word)
	switch {
	case d == nil:
		return nil
	case d.words[0] != word:
		return d.words[2:]
	}
	return d.words[1:]
}

// first returns the first value of a statement, or "".
func (b *dhcpdBlock) first(word string) string {
	if values := b.values(word); len(values) > 0 {
		return values[0]
	}
	return ""
}

// parseDHCPD returns the file as a block. It reports braces without a partner, and reads on.
func (s *source) parseDHCPD() *dhcpdBlock {
	whole := &dhcpdBlock{}
	open := []*dhcpdBlock{whole}
	statement := &dhcpdStatement{}
	next := dhcpdTokens(s.data)
	for token, line := next(); token != ""; token, line = next() {
		in := open[len(open)-1]
		switch {
		case token == ";":
			in.end(statement)
		case token == "{" && len(open) < maxDepth:
			block := &dhcpdBlock{dhcpdStatement: *statement}
			if len(block.words) == 0 {
				block.line = line
			}
			in.blocks, open = append(in.blocks, block), append(open, block)
		case !isEnded(token):
			s.leaveOut(line, "", "a string without a \" at its end")
		case token == "}" && len(open) == 1:
			s.leaveOut(line, "", "a } without a { before it")
		case token == "}":
			s.reportUnended(statement)
			open = open[:len(open)-1]
		case len(statement.words) == 0:
			statement = &dhcpdStatement{line, []string{strings.ToLower(unquoted(token))}}
			continue
		default:
			statement.words = append(statement.words, unquoted(token))
			continue
		}
		statement = &dhcpdStatement{}
	}
	s.reportUnended(statement)
	for _, block := range open[1:] {
		s.leaveOut(block.line, describe(block.words...), "a { without a } after it")
	}
	return whole
}

// end adds a statement to a block unless it is empty.
func (b *dhcpdBlock) end(d *dhcpdStatement) {
	if len(d.words) > 0 {
		b.statements = append(b.statements, d)
	}
}

func (s *source) reportUnended(d *dhcpdStatement) {
	if len(d.words) > 0 {
		s.leaveOut(d.line, describe(d.words...), "a statement without a ';' after it")
	}
}

// lengthOfQuoted returns the length of the string at the start of data, with its quotes, or up to the end of the line.
func lengthOfQuoted(data string) int {
	for i := 1; i < len(data); i++ {
		switch data[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		case '\n':
			return i
		}
	}
	return len(data)
}

// isEnded reports whether a token is no string, or one with both quotes.
func isEnded(token string) bool {
	if token[0] != '"' {
		return true
	}
	return len(token) > 1 && token[len(token)-1] == '"' && lengthOfQuoted(token[:len(token)-1]+"\n") == len(token)-1
}

// isKeyword reports whether a word is a keyword, whatever its case.
func isKeyword(word, keyword string) bool { return strings.EqualFold(word, keyword) }

func unquoted(token string) string { return strings.Trim(token, `"`) }

// dhcpdTokens returns a function that returns the next token and its line: a brace, a semicolon, a string with its quotes,
// or a word. It returns "" at the end. Commas separate words, as blanks do.
func dhcpdTokens(data string) func() (string, int) {
	line := 1
	take := func(n int) string {
		token := data[:n]
		line += strings.Count(token, "\n")
		data = data[n:]
		return token
	}
	return func() (string, int) {
		for data != "" {
			at := line
			switch c := data[0]; {
			case strings.IndexByte(" \t\r\n,", c) >= 0:
				take(1)
			case c == '#':
				take(orAll(strings.IndexByte(data, '\n'), data))
			case strings.IndexByte("{};", c) >= 0:
				return take(1), at
			case c == '"':
				return take(lengthOfQuoted(data)), at
			default:
				return take(orAll(strings.IndexAny(data, " \t\r\n,{};\"#"), data)), at
			}
		}
		return "", line
	}
}

// orAll returns an offset in data, or the length of data if there is none.
func orAll(offset int, data string) int {
	if offset < 0 {
		return len(data)
	}
	return offset
}
