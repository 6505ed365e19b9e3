package repl

import "strings"

// A token is one argument of a line.
type token struct {
	text       string // without quotes, escapes replaced
	start, end int    // where it stands in the line
	quoted     bool   // there is a quote in it
}

// tokenise splits a line into arguments as redis-cli does. Spaces separate them. "…" and '…' hold spaces, and must be
// followed by a space or the end. Escapes in "…" are \n \r \t \b \a \xHH, and a backslash in front of any other character
// means the character; in '…' there is only \'.
func tokenise(line string) ([]token, *complaint) {
	var tokens []token
	for at := skipSpaces(line, 0); at < len(line); at = skipSpaces(line, at) {
		t, wrong := nextToken(line, at)
		if wrong != nil {
			return nil, wrong
		}
		tokens = append(tokens, t)
		at = t.end
	}
	return tokens, nil
}

// nextToken reads the argument that begins at start.
func nextToken(line string, start int) (token, *complaint) {
	var text strings.Builder
	t := token{start: start}
	at := start
	for at < len(line) && !isSpace(line[at]) {
		quote := line[at]
		if quote != '"' && quote != '\'' {
			text.WriteByte(quote)
			at++
			continue
		}
		t.quoted = true
		end := unquote(&text, line, at)
		switch {
		case end < 0:
			return t, &complaint{at: at, text: "this quote is not closed; close it, or put quotes that belong to the value inside '…'"}
		case end < len(line) && !isSpace(line[end]):
			return t, &complaint{at: end - 1, text: "a closing quote must be followed by a space; write \\\" for a quote inside \"…\", or put the whole value inside '…'"}
		}
		at = end
	}
	t.text, t.end = text.String(), at
	return t, nil
}

// unquote reads the quoted string that begins at start, and returns the place behind its closing quote, or -1.
func unquote(text *strings.Builder, line string, start int) (end int) {
	quote := line[start]
	for at := start + 1; at < len(line); {
		switch c := line[at]; {
		case c == quote:
			return at + 1
		case c == '\\' && quote == '\'' && at+1 < len(line) && line[at+1] == '\'':
			text.WriteByte('\'')
			at += 2
		case c == '\\' && quote == '"' && at+1 < len(line):
			b, size := escape(line[at+1:])
			text.WriteByte(b)
			at += 1 + size
		default:
			text.WriteByte(c)
			at++
		}
	}
	return -1
}

// escape reads what follows a backslash and returns how many bytes that was.
func escape(s string) (b byte, size int) {
	switch s[0] {
	case 'x':
		if len(s) >= 3 && isHex(s[1]) && isHex(s[2]) {
			return hexDigit(s[1])<<4 | hexDigit(s[2]), 3
		}
	case 'n':
		return '\n', 1
	case 'r':
		return '\r', 1
	case 't':
		return '\t', 1
	case 'b':
		return '\b', 1
	case 'a':
		return '\a', 1
	}
	return s[0], 1
}

func isHex(c byte) bool { return strings.IndexByte("0123456789abcdefABCDEF", c) >= 0 }

// hexDigit is the value of a digit for which isHex holds.
func hexDigit(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func skipSpaces(line string, at int) int {
	for at < len(line) && isSpace(line[at]) {
		at++
	}
	return at
}

// texts are the arguments of tokens.
func texts(tokens []token) []string {
	args := make([]string, len(tokens))
	for i, t := range tokens {
		args[i] = t.text
	}
	return args
}
