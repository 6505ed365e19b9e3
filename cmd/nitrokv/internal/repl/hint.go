package repl

import "strings"

// hint is what is still to be typed behind a line: the arguments of its command that are not there yet, or nothing if the
// command is not known or complete.
func (c catalog) hint(line string) string {
	words, partial := typedWords(line)
	if partial != "" {
		words = append(words, partial)
	}
	command, used := c.find(words)
	if command == nil {
		return ""
	}
	text := strings.Join(remaining(command.Args, words[used:]), " ")
	if text != "" && partial != "" {
		text = " " + text
	}
	return text
}

// typedWords splits what stands in front of the cursor into whole arguments and one that is being typed, which is empty
// behind a space. In a line whose quotes don't match yet the last argument is the one that is being typed.
func typedWords(line string) (words []string, partial string) {
	for at := skipSpaces(line, 0); at < len(line); at = skipSpaces(line, at) {
		t, wrong := nextToken(line, at)
		if wrong != nil || t.end == len(line) {
			return words, line[at:]
		}
		words = append(words, t.text)
		at = t.end
	}
	return words, ""
}

// usage is a command as help shows it: "SET key value [NX|XX]".
func usage(name, args string) string {
	return strings.TrimSpace(strings.ToUpper(name) + " " + args)
}

// usageOf is the usage of the command that a line calls, or nothing.
func (c catalog) usageOf(words []string) string {
	command, used := c.find(words)
	if command == nil {
		return ""
	}
	return usage(strings.Join(words[:used], " "), command.Args)
}
