package repl

import "strings"

// A span is a piece of a line.
type span struct{ start, end int }

// explainJSON looks for JSON that splitting has taken apart: an argument that begins with { or [ and has spaces or quotes
// before its last bracket. It returns nil if there is none. The caret goes under the first quote, where things went
// wrong, or under the bracket if there is no quote.
//
// It is called for lines that can't be split, or that a server has refused: only then it is known that nobody meant
// what the line says.
func explainJSON(line string) *complaint {
	var broken []span
	for at := skipSpaces(line, 0); at < len(line); at = skipSpaces(line, at) {
		if line[at] != '{' && line[at] != '[' {
			at = skipArgument(line, at)
			continue
		}
		end, closed := jsonEnd(line, at)
		if !closed {
			if _, wrong := nextToken(line, at); wrong == nil {
				at = skipArgument(line, at)
				continue
			}
			return &complaint{at: at, text: "this bracket is not closed; JSON goes inside '…', as in: SET key '{\"a\": 1}'"}
		}
		if strings.ContainsAny(line[at:end], " \t\"'") {
			broken = append(broken, span{at, end})
		}
		at = end
	}
	if len(broken) == 0 {
		return nil
	}
	first := line[broken[0].start:broken[0].end]
	return &complaint{
		at:   broken[0].start + max(strings.IndexByte(first, '"'), 0),
		text: "JSON is one argument only inside '…'",
		form: quoteSpans(line, broken),
	}
}

// skipArgument returns the end of an argument that is not JSON; one with wrong quotes ends at the next space.
func skipArgument(line string, at int) int {
	if t, wrong := nextToken(line, at); wrong == nil {
		return t.end
	}
	for at < len(line) && !isSpace(line[at]) {
		at++
	}
	return at
}

// jsonEnd finds the place behind the bracket that closes the one at start, past nested brackets and strings. The argument
// must end there.
func jsonEnd(line string, start int) (end int, closed bool) {
	var open []byte
	for at := start; at < len(line); at++ {
		switch c := line[at]; c {
		case '{', '[':
			open = append(open, c+2) // in ASCII the closing bracket is two further on
		case '}', ']':
			if c != open[len(open)-1] {
				return 0, false
			}
			if open = open[:len(open)-1]; len(open) == 0 {
				return at + 1, at+1 == len(line) || isSpace(line[at+1])
			}
		case '"':
			if at = stringEnd(line, at); at < 0 {
				return 0, false
			}
		}
	}
	return 0, false
}

// stringEnd finds the quote that closes the JSON string at start, or returns -1.
func stringEnd(line string, start int) int {
	for at := start + 1; at < len(line); at++ {
		switch line[at] {
		case '\\':
			at++
		case '"':
			return at
		}
	}
	return -1
}

// quoteSpans puts each piece inside '…', where a quote of the same kind becomes \'.
func quoteSpans(line string, spans []span) string {
	var text strings.Builder
	done := 0
	for _, s := range spans {
		text.WriteString(line[done:s.start])
		text.WriteString("'" + strings.ReplaceAll(line[s.start:s.end], "'", `\'`) + "'")
		done = s.end
	}
	return text.String() + line[done:]
}
