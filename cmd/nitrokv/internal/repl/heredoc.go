package repl

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// errAbandoned is a command that its user has given up in the middle.
var errAbandoned = errors.New("abandoned")

// errUnended is a command whose value is cut off.
var errUnended = errors.New("the input ends inside a block")

// blockWord returns the word that ends the block which an argument stands for. "<<" alone, anything in quotes and the
// verb itself stand for no block.
func blockWord(i int, t token) (word string, ok bool) {
	if i == 0 || t.quoted || len(t.text) < 3 {
		return "", false
	}
	return strings.CutPrefix(t.text, "<<")
}

// readBlocks replaces each argument <<WORD by the lines up to one that is WORD; several blocks follow each other.
func readBlocks(read func(prompt string) (string, error), tokens []token) error {
	for i := range tokens {
		word, ok := blockWord(i, tokens[i])
		if !ok {
			continue
		}
		text, err := readBlock(read, word)
		if err != nil {
			return err
		}
		tokens[i].text = text
	}
	return nil
}

// readBlock joins the lines in front of the word. The newline of the last one is not part of the text, so a text of one
// line has none. A file that was written on Windows may have a CR behind the word.
func readBlock(read func(prompt string) (string, error), word string) (string, error) {
	var text strings.Builder
	for first := true; ; first = false {
		line, err := read(word + "> ")
		switch {
		case errors.Is(err, io.EOF):
			return "", fmt.Errorf("%w: <<%s needs a line that is %s and nothing else; the command was not sent", errUnended, word, word)
		case errors.Is(err, ErrInterrupted):
			return "", errAbandoned
		case err != nil:
			return "", err
		case strings.TrimSuffix(line, "\r") == word:
			return text.String(), nil
		}
		if !first {
			text.WriteByte('\n')
		}
		text.WriteString(line)
	}
}
