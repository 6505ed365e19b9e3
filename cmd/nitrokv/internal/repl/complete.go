package repl

import (
	"slices"
	"strings"
)

// complete lists what the word in front of the cursor may become, each as the rest of it that is still to be typed, and
// the word. Verbs, subcommands and the options of a command are completed; keys and values are not.
func (c catalog) complete(front string) (rests []string, word string) {
	words, word := typedWords(front)
	if strings.ContainsAny(word, `"'`) {
		return nil, word
	}
	for _, candidate := range c.candidates(words) {
		if len(candidate) >= len(word) && strings.EqualFold(candidate[:len(word)], word) {
			rests = append(rests, likeTyped(candidate, word, words)[len(word):]+" ")
		}
	}
	return rests, word
}

// candidates are the words that may follow.
func (c catalog) candidates(words []string) []string {
	if len(words) == 0 {
		return append(c.names(), localWords()...)
	}
	if strings.EqualFold(words[0], "help") {
		return c.after(words[1:])
	}
	return c.after(words)
}

func (c catalog) after(words []string) []string {
	if len(words) == 0 {
		return c.names()
	}
	command, used := c.find(words)
	switch {
	case command == nil:
		return nil
	case len(command.Subs) > 0:
		if used < len(words) {
			return nil
		}
		return catalog(command.Subs).names()
	}
	return nextTokens(remaining(command.Args, words[used:]))
}

func (c catalog) names() []string {
	var names []string
	for _, command := range c {
		names = append(names, strings.ToUpper(command.Name))
	}
	return names
}

// likeTyped writes a candidate in the case in which its user types.
func likeTyped(candidate, word string, words []string) string {
	typed := word
	if typed == "" && len(words) > 0 {
		typed = words[0]
	}
	if slices.Contains(localWords(), candidate) || typed != strings.ToUpper(typed) {
		return strings.ToLower(candidate)
	}
	return candidate
}
