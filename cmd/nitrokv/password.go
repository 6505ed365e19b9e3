package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/nitrokv/nitrokv/server"
)

// passwordConfig is what the options about a password set: one of the two at most, for the other stands in for it.
type passwordConfig struct {
	file string
	text string // what the variable holds
}

// options makes --NAME-file and NITROKV_NAME of a name. There is no --NAME: command lines are no secret.
func (c *passwordConfig) options(name, what string) []option {
	return []option{
		{name: name + "-file", arg: "FILE", set: pathTo(&c.file),
			help: fmt.Sprintf("File that holds %s, up to %d bytes; newlines at its end don't count. Nobody else should be able to read it", what, server.PasswordMax)},
		{name: name, arg: "PASSWORD", secret: true, instead: name + "-file", set: passwordTo(&c.text),
			help: "The same without a file. There is no option of that name, since everybody on a machine can see command lines"},
	}
}

// given reports whether there is one.
func (c *passwordConfig) given() bool { return c.file != "" || c.text != "" }

// read returns the password, "" if there is none, and a warning if others can read the file.
func (c *passwordConfig) read() (password, warning string, err error) {
	if c.file == "" {
		return c.text, "", nil
	}
	text, err := readAtMost(c.file, 2*server.PasswordMax)
	if err != nil {
		return "", "", fmt.Errorf("read the password file: %w", err)
	}
	if err := passwordTo(&password)(strings.TrimRight(string(text), "\r\n")); err != nil {
		return "", "", fmt.Errorf("the password in %s: %w", c.file, err)
	}
	info, err := os.Stat(c.file)
	if err != nil {
		return "", "", fmt.Errorf("see who can read the password file: %w", err)
	}
	// A group may read it: that is how service managers and Kubernetes hand out secrets.
	if mode := info.Mode(); mode.IsRegular() && mode.Perm()&0o037 != 0 {
		warning = fmt.Sprintf("others can read or change the password file %s (mode %04o); run: chmod 600 %s", c.file, mode.Perm(), shellWord(c.file))
	}
	return password, warning, nil
}

// passwordTo stores a password. Its errors don't repeat it.
func passwordTo(dst *string) func(string) error {
	return func(text string) error {
		switch {
		case text == "":
			return errors.New("empty; write one, or leave the setting out")
		case len(text) > server.PasswordMax:
			return fmt.Errorf("longer than %d bytes", server.PasswordMax)
		}
		*dst = text
		return nil
	}
}
