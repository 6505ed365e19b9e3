package repl

import (
	"slices"
	"strings"
)

// The arguments of a command as one line, in the way that Redis's documentation writes them:
//
//	key                      an argument; a word in upper case is to be typed as it is
//	[NX|XX|IFVER version]    may be left out; one of several
//	key [key ...]            may be repeated
//	<a b|c>                  one of several, and not to be left out
//
// Each of these is an element here.

// elements splits such a line where no bracket is open.
func elements(args string) []string {
	var list []string
	depth, start := 0, 0
	for i, c := range args {
		switch c {
		case '[', '<':
			depth++
		case ']', '>':
			depth--
		case ' ':
			if depth == 0 {
				list = append(list, args[start:i])
				start = i + 1
			}
		}
	}
	list = append(list, args[start:])
	return withoutEmpty(list)
}

func withoutEmpty(list []string) []string {
	kept := list[:0]
	for _, e := range list {
		if e != "" {
			kept = append(kept, e)
		}
	}
	return kept
}

// remaining returns the elements that are still to come after the arguments that have been typed. What must be there comes
// in its order; behind it options come in any order, each once.
func remaining(args string, typed []string) []string {
	left := elements(args)
	for _, arg := range typed {
		if len(left) == 0 {
			return nil
		}
		if !isOptional(left[0]) {
			left = left[1:]
			continue
		}
		if i, operands := findOption(left, arg); i >= 0 {
			left = slices.Concat(operands, left[:i], left[i+1:])
		} else if name := strings.Trim(left[0], "[]"); !isToken(name) && !strings.Contains(name, "...") {
			left = left[1:]
		}
	}
	return left
}

// findOption finds the optional element that has arg as a token, and what must follow the token.
func findOption(left []string, arg string) (i int, operands []string) {
	for i, e := range left {
		for _, choice := range choices(e) {
			words := elements(choice)
			if len(words) > 0 && isToken(words[0]) && strings.EqualFold(words[0], arg) {
				return i, words[1:]
			}
		}
	}
	return -1, nil
}

// nextTokens lists what may be typed as it stands for the next argument.
func nextTokens(left []string) []string {
	var found []string
	for i, e := range left {
		if i > 0 && !isOptional(e) {
			break
		}
		for _, choice := range choices(e) {
			if words := elements(choice); len(words) > 0 && isToken(words[0]) {
				found = append(found, words[0])
			}
		}
		if !isOptional(e) {
			break
		}
	}
	return found
}

// choices splits an element at the bars where no inner bracket is open.
func choices(element string) []string {
	inner := element
	if isOptional(element) || strings.HasPrefix(element, "<") {
		inner = element[1 : len(element)-1]
	}
	var list []string
	depth, start := 0, 0
	for i, c := range inner {
		switch c {
		case '[', '<':
			depth++
		case ']', '>':
			depth--
		case '|':
			if depth == 0 {
				list = append(list, inner[start:i])
				start = i + 1
			}
		}
	}
	list = append(list, inner[start:])
	if words := elements(list[0]); len(words) > 1 && isToken(words[1]) {
		return []string{inner} // TYPE NORMAL|MASTER: the choice comes behind the first word
	}
	return list
}

func isOptional(element string) bool {
	return len(element) > 1 && element[0] == '[' && element[len(element)-1] == ']'
}

// isToken reports whether an element begins with a word in upper case, which is to be typed as it is.
func isToken(element string) bool {
	word, _, _ := strings.Cut(element, " ")
	return word != "" && word == strings.ToUpper(word) && word != strings.ToLower(word)
}
