// Follows a published log with code that is not ours: golang.org/x/mod/sumdb, which the Go checksum database is built on.
//
//	go run main.go FOLDER VKEY
//
// FOLDER holds what lies in the bucket (checkpoint, tile/...), an older checkpoint (old), our consistency proof between
// the two (consistency, a hash in base64 a line), and one event (leaf) with our proof of it (event.tlog-proof). Prints
// what was found as JSON; exits with 1 and the reason where anything does not fit.
package main

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	height = 8
	width  = 1 << height
	probes = 64 // events that are proven with the library's own proofs
)

// checkpoint is what a signed note says: C2SP tlog-checkpoint.
type checkpoint struct {
	Origin string
	tlog.Tree
}

// folder reads tiles as C2SP tlog-tiles names them.
type folder string

func (f folder) Height() int { return height }

func (f folder) SaveTiles([]tlog.Tile, [][]byte) {}

// ReadTiles returns the hashes of tiles; of a partial one that is gone, the beginning of the full one.
func (f folder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range tiles {
		data, err := f.tile(strings.Replace(tile.Path(), "tile/8/", "tile/", 1), tile.W*tlog.HashSize)
		if err != nil {
			return nil, err
		}
		found = append(found, data)
	}
	return found, nil
}

func (f folder) tile(path string, size int) ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(string(f), path))
	if errors.Is(err, os.ErrNotExist) {
		full, _, partial := strings.Cut(path, ".p/")
		if !partial {
			return nil, err
		}
		data, err = os.ReadFile(filepath.Join(string(f), full))
	}
	if err != nil {
		return nil, err
	}
	if len(data) < size {
		return nil, fmt.Errorf("%s has %d bytes of %d", path, len(data), size)
	}
	return data[:size], nil
}

// bundle returns the leaves from 256 number on.
func (f folder) bundle(number, count int64) ([][]byte, error) {
	tile := tlog.Tile{H: height, L: 0, N: number, W: int(count)}
	data, err := os.ReadFile(filepath.Join(string(f), strings.Replace(tile.Path(), "tile/8/0/", "tile/entries/", 1)))
	if err != nil {
		return nil, err
	}
	var leaves [][]byte
	for len(data) >= 2 {
		size := int(binary.BigEndian.Uint16(data))
		if len(data) < 2+size {
			break
		}
		leaves, data = append(leaves, data[2:2+size]), data[2+size:]
	}
	if len(data) != 0 || int64(len(leaves)) != count {
		return nil, fmt.Errorf("bundle %d is malformed", number)
	}
	return leaves, nil
}

// rebuild returns the root over every leaf, from the bundles alone.
func (f folder) rebuild(size int64) (tlog.Hash, error) {
	var stored []tlog.Hash
	read := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		found := make([]tlog.Hash, len(indexes))
		for at, index := range indexes {
			found[at] = stored[index]
		}
		return found, nil
	})
	for first := int64(0); first < size; first += width {
		count := size - first
		if count > width {
			count = width
		}
		leaves, err := f.bundle(first/width, count)
		if err != nil {
			return tlog.Hash{}, err
		}
		for at, leaf := range leaves {
			hashes, err := tlog.StoredHashes(first+int64(at), leaf, read)
			if err != nil {
				return tlog.Hash{}, err
			}
			stored = append(stored, hashes...)
		}
	}
	return tlog.TreeHash(size, read)
}

// open returns what a note says that the key has signed.
func open(text []byte, key string) (*checkpoint, error) {
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return nil, err
	}
	opened, err := note.Open(text, note.VerifierList(verifier))
	if err != nil {
		return nil, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[3] != "" || lines[0] != verifier.Name() {
		return nil, fmt.Errorf("not a checkpoint of %s", verifier.Name())
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return nil, err
	}
	root, err := tlog.ParseHash(lines[2])
	return &checkpoint{lines[0], tlog.Tree{N: size, Hash: root}}, err
}

func (f folder) open(name, key string) (*checkpoint, error) {
	text, err := os.ReadFile(filepath.Join(string(f), name))
	if err != nil {
		return nil, err
	}
	return open(text, key)
}

func hashes(lines string) ([]tlog.Hash, error) {
	var found []tlog.Hash
	for _, line := range strings.Fields(lines) {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return nil, err
		}
		found = append(found, hash)
	}
	return found, nil
}

// continues checks that the new tree continues the old one: by the library's proof, and by ours.
func (f folder) continues(old, new *checkpoint, read tlog.HashReader) error {
	proof, err := tlog.ProveTree(new.N, old.N, read)
	if err != nil {
		return err
	}
	if err := tlog.CheckTree(proof, new.N, new.Hash, old.N, old.Hash); err != nil {
		return err
	}
	lines, err := os.ReadFile(filepath.Join(string(f), "consistency"))
	if err != nil {
		return err
	}
	ours, err := hashes(string(lines))
	if err != nil {
		return err
	}
	return tlog.CheckTree(ours, new.N, new.Hash, old.N, old.Hash)
}

// proven checks our .tlog-proof of one leaf, and returns its place.
func (f folder) proven(key string) (int64, error) {
	text, err := os.ReadFile(filepath.Join(string(f), "event.tlog-proof"))
	if err != nil {
		return 0, err
	}
	leaf, err := os.ReadFile(filepath.Join(string(f), "leaf"))
	if err != nil {
		return 0, err
	}
	head, signed, _ := strings.Cut(string(text), "\n\n")
	lines := strings.SplitN(head, "\n", 3)
	if len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" || !strings.HasPrefix(lines[1], "index ") {
		return 0, errors.New("not a tlog-proof")
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
	if err != nil {
		return 0, err
	}
	var path []tlog.Hash
	if len(lines) == 3 {
		if path, err = hashes(lines[2]); err != nil {
			return 0, err
		}
	}
	under, err := open([]byte(signed), key)
	if err != nil {
		return 0, err
	}
	return index, tlog.CheckRecord(path, under.N, under.Hash, index, tlog.RecordHash(leaf))
}

// probe proves some events by the library's own proofs, read from the tiles.
func probe(tree *checkpoint, read tlog.HashReader) error {
	step := tree.N/probes + 1
	for index := int64(0); index < tree.N; index += step {
		found, err := read.ReadHashes([]int64{tlog.StoredHashIndex(0, index)})
		if err != nil {
			return err
		}
		proof, err := tlog.ProveRecord(tree.N, index, read)
		if err != nil {
			return err
		}
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, found[0]); err != nil {
			return err
		}
	}
	return nil
}

func (f folder) follow(key string) (map[string]interface{}, error) {
	new, err := f.open("checkpoint", key)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	old, err := f.open("old", key)
	if err != nil {
		return nil, fmt.Errorf("old: %w", err)
	}
	read := tlog.TileHashReader(new.Tree, f)
	for _, each := range []*checkpoint{old, new} {
		root, err := tlog.TreeHash(each.N, read)
		if err != nil {
			return nil, fmt.Errorf("tiles: %w", err)
		}
		if root != each.Hash {
			return nil, fmt.Errorf("tiles: another root at %d", each.N)
		}
	}
	if err := f.continues(old, new, read); err != nil {
		return nil, fmt.Errorf("consistency: %w", err)
	}
	if err := probe(new, read); err != nil {
		return nil, fmt.Errorf("inclusion: %w", err)
	}
	index, err := f.proven(key)
	if err != nil {
		return nil, fmt.Errorf("proof: %w", err)
	}
	root, err := f.rebuild(new.N)
	if err != nil {
		return nil, fmt.Errorf("entries: %w", err)
	}
	if root != new.Hash {
		return nil, errors.New("entries: another root")
	}
	return map[string]interface{}{
		"origin": new.Origin, "size": new.N, "old_size": old.N, "proven": index,
		"root": base64.StdEncoding.EncodeToString(root[:]),
	}, nil
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: main FOLDER VKEY")
		os.Exit(2)
	}
	found, err := folder(os.Args[1]).follow(os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	json.NewEncoder(os.Stdout).Encode(found)
}
