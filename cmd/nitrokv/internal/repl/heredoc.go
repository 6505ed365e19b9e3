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

// roughTokens are the arguments of a line that can't be split which look like <<WORD, and the verb. A quote in the word
// is the likely mistake, so it doesn't count; one in front of << says that no block is meant.
func roughTokens(line string) []token {
	var tokens []token
	for i, text := range strings.Fields(line) {
		if strings.HasPrefix(text, "<<") {
			text = strings.NewReplacer(`"`, "", `'`, "").Replace(text)
		} else if i > 0 {
			continue
		}
		tokens = append(tokens, token{text: text})
	}
	return tokens
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
// line has none. A file that was written on Windows has a CR behind the word; then the last newline is two
// bytes.
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
		case line == word+"\r":
			return strings.TrimSuffix(text.String(), "\r"), nil
		case line == word:
			return text.String(), nil
		}
		if !first {
			text.WriteByte('\n')
		}
		text.WriteString(line)
	}
}
