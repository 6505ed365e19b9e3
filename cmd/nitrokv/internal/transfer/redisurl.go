package transfer

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// RedisURL names a database of a Redis server: redis://[user@]host[:port][/db].
type RedisURL struct {
	Addr string // host:port
	User string // empty: the default user
	DB   int
}

// IsRedisURL reports whether a text is meant as one, rather than as the name of a file.
func IsRedisURL(text string) bool {
	scheme, _, found := strings.Cut(text, "://")
	return found && (strings.EqualFold(scheme, "redis") || strings.EqualFold(scheme, "rediss"))
}

const redisURLForm = "write redis://host, redis://host:port, redis://user@host:port or redis://host:port/db"

// ParseRedisURL reads such a URL. Its errors never quote the URL: there may be a password in it.
func ParseRedisURL(text string) (RedisURL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return RedisURL{}, errors.New("not a URL; " + redisURLForm)
	}
	if _, has := u.User.Password(); has {
		return RedisURL{}, errors.New("there is a password in the URL, where every user of this machine can read it; " +
			"leave it out, and put it into a file named by --source-password-file or into NITROKV_SOURCE_PASSWORD")
	}
	switch {
	case u.Scheme == "rediss":
		return RedisURL{}, errors.New("rediss:// (TLS) is not supported; let a tunnel such as stunnel end the TLS, and name its address with redis://")
	case u.Hostname() == "":
		return RedisURL{}, errors.New("no host; " + redisURLForm)
	case u.RawQuery != "" || u.Fragment != "" || u.Opaque != "":
		return RedisURL{}, errors.New("options behind the database; " + redisURLForm)
	}
	db, err := parseDB(strings.Trim(u.Path, "/"))
	if err != nil {
		return RedisURL{}, err
	}
	port := u.Port()
	if port == "" {
		port = "6379"
	}
	return RedisURL{Addr: net.JoinHostPort(u.Hostname(), port), User: u.User.Username(), DB: db}, nil
}

func parseDB(text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	db, err := strconv.Atoi(text)
	if err != nil || db < 0 {
		return 0, fmt.Errorf("%q is no number of a database; %s", text, redisURLForm)
	}
	return db, nil
}
