package resp

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// handshake logs in and chooses the protocol with HELLO. Redis before 6.0 knows no HELLO and no users; there a password
// goes with AUTH, and RESP2 is all there is. A server that wants a password while none is given refuses HELLO too; that is
// left to the first command, so that a user may still type AUTH.
func (c *Conn) handshake(ctx context.Context, opt Options) error {
	protocol := opt.Protocol
	if protocol == 0 {
		protocol = 3
	}
	hello := []string{"HELLO", strconv.Itoa(protocol)}
	if opt.Password != "" {
		user := opt.User
		if user == "" {
			user = "default"
		}
		hello = append(hello, "AUTH", user, opt.Password)
	}
	v, err := c.Do(ctx, hello...)
	switch {
	case err != nil:
		return err
	case v.Kind != Error, opt.Password == "" && isCode(v.Text, "NOAUTH"):
		return nil
	case !isOld(v.Text):
		return fmt.Errorf("%s refuses the connection: %s", c.addr, v.Text)
	case opt.Password != "":
		return c.auth(ctx, opt)
	}
	return nil
}

// auth is the log-in of a server without HELLO.
func (c *Conn) auth(ctx context.Context, opt Options) error {
	args := []string{"AUTH"}
	if opt.User != "" {
		args = append(args, opt.User)
	}
	v, err := c.Do(ctx, append(args, opt.Password)...)
	if err == nil && v.Kind == Error {
		err = fmt.Errorf("%s refuses the password: %s", c.addr, v.Text)
	}
	return err
}

// isOld reports whether HELLO was refused by a server that doesn't know it, or not this version of the protocol.
func isOld(text string) bool {
	return isCode(text, "NOPROTO") || strings.HasPrefix(strings.ToLower(text), "err unknown command")
}

// isCode reports whether an error's first word is code.
func isCode(text, code string) bool {
	first, _, _ := strings.Cut(text, " ")
	return first == code
}
