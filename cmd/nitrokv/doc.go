// Command nitrokv is the one binary of NitroKV: the server, a command line for it, and a load generator.
//
//	nitrokv serve                  run a server on 127.0.0.1:6379
//	nitrokv cli                    type commands, or run one: nitrokv cli get user_id
//	nitrokv put user_id 42069      store a value; "-" reads it from stdin, --file from a file
//	nitrokv get user_id            write exactly the value's bytes to stdout
//	nitrokv del user_id            remove keys
//	nitrokv incr visits            add to a number; also -5, or 0.25
//	nitrokv expire session 30m     let a key expire, or "none"
//	nitrokv ttl session            how long a key has left
//	nitrokv scan 'user:*'          list keys
//	nitrokv stats                  what the server says about itself
//	nitrokv load keys.jsonl        load many keys from a file, stdin or a Redis server
//	nitrokv dump keys.jsonl        write every key to a file or stdout
//	nitrokv backup FILE            copy a running server's data to a file; "backup verify FILE" checks one
//	nitrokv restore FILE --dir NEW make a data folder of it, or of another folder as it was earlier
//	nitrokv convert                make a data folder of another mode with the same contents
//	nitrokv bench                  measure this or any other Redis-compatible server
//	nitrokv check ./data           verify every byte of a data folder
//
// With --dir PATH the commands about keys need no server: they open the data folder themselves.
//
// Verbs may be written in any case; set and delete are other names of put and del. The exit status is 0 when all went
// well, 1 when a key was not found, a folder or a backup is damaged, the server refuses a command of nitrokv cli, a load
// has left out lines with something wrong or a folder could not be converted, 2 after an error, which is described in one line on stderr, and 3 when a
// server's log could not be written or synced.
//
// Every setting is declared once, as an option (options.go): its flag, its NITROKV_ variable, its key in the
// configuration file, its default and its documentation come from there. "nitrokv options" lists them, "nitrokv serve
// --print-config" shows what they come to.
package main
