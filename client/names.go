package client

import (
	"context"
	"errors"

	"github.com/nitrokv/nitrokv/proto"
)

// Rename gives a key another name, or returns ErrNotFound. It replaces a key that has that name; the expiry
// goes along.
func (c *Client) Rename(ctx context.Context, from, to string) error {
	return c.plain(ctx, &request{op: proto.OpRename, key: from, to: to})
}

// RenameNX is Rename if no key has the new name yet, and reports whether that was so; or ErrNotFound.
func (c *Client) RenameNX(ctx context.Context, from, to string) (bool, error) {
	return storedOrNot(c.plain(ctx, &request{op: proto.OpRename, key: from, to: to, options: proto.RenameIfAbsent}))
}

// Copy makes a second key with the value and the expiry of the first, or returns ErrNotFound. If there is a
// key of that name already, it is replaced or, without replace, left alone: then Copy reports false.
func (c *Client) Copy(ctx context.Context, from, to string, replace bool) (bool, error) {
	r := request{op: proto.OpCopy, key: from, to: to}
	if from == to {
		return false, invalid(&r, "a key can't be copied to itself")
	}
	if replace {
		r.options = proto.CopyReplace
	}
	return storedOrNot(c.plain(ctx, &r))
}

// RandomKey returns one of the keys of the store, or ErrNotFound if it is empty. Each has a chance, but not
// all have the same.
func (c *Client) RandomKey(ctx context.Context) (string, error) {
	key, err := c.bytes(ctx, &request{op: proto.OpRandomKey})
	return string(key), err
}

// storedOrNot makes a bool of an error that may be ErrNotStored.
func storedOrNot(err error) (bool, error) {
	if errors.Is(err, ErrNotStored) {
		return false, nil
	}
	return err == nil, err
}
