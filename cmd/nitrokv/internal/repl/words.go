package repl

import (
	"fmt"
	"slices"
	"strings"
)

// localWords are the commands of the command line itself.
func localWords() []string { return []string{"clear", "exit", "help", "quit"} }

const helpText = `Type a command, for example:  SET user_id 42069

  "…" and '…' keep spaces in one argument; "…" knows \n \r \t \" \\ \xHH
  SET key <<END     takes the lines that follow as the value, up to a line END; any word will do
  help COMMAND      says what a command does: help SET, help CLIENT LIST
  clear             empties the screen
  exit, quit        leave, as Ctrl-D does
  Tab completes commands and options, Ctrl-R searches what was typed before, Ctrl-C drops the line

`

// help describes a command, or lists all of them by their groups.
func (c catalog) help(words []string) (string, error) {
	if len(words) == 0 {
		return helpText + c.list(), nil
	}
	command, used := c.find(words)
	if command == nil || used < len(words) {
		return "", fmt.Errorf("there is no command %s; help lists them", quoted(strings.Join(words, " ")))
	}
	name := strings.Join(words, " ")
	text := usage(name, command.Args) + "\n  " + command.Summary + "\n"
	if command.Group != "" {
		text += "  group: " + command.Group + "\n"
	}
	for _, sub := range command.Subs {
		text += "  " + usage(name+" "+sub.Name, sub.Args) + "\n      " + sub.Summary + "\n"
	}
	return text, nil
}

// list names the commands of each group.
func (c catalog) list() string {
	const width = 90
	groups := make(map[string][]string)
	for _, command := range c {
		groups[command.Group] = append(groups[command.Group], strings.ToUpper(command.Name))
	}
	var names []string
	for name := range groups {
		names = append(names, name)
	}
	slices.Sort(names)
	var text strings.Builder
	for _, name := range names {
		line := fmt.Sprintf("  %-12s", name)
		for _, command := range groups[name] {
			if len(line)+1+len(command) > width {
				text.WriteString(line + "\n")
				line = fmt.Sprintf("  %-12s", "")
			}
			line += " " + command
		}
		text.WriteString(line + "\n")
	}
	return text.String()
}
