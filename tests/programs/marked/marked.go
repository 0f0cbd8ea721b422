// The messages of marked.py, sent by 20 goroutines at once: marked client HOST PORT CONNECTIONS MESSAGES BLOCKS
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
)

func message(connection int, number int, blocks int) string {
	var text strings.Builder
	for block := 0; block < blocks; block++ {
		fmt.Fprintf(&text, "<%04dC%06d%03d>", connection, number, block)
	}
	return text.String()
}

func talk(address string, connection, messages, blocks int) {
	stream, err := net.Dial("tcp", address)
	if err != nil {
		panic(err)
	}
	defer stream.Close()
	var reader sync.WaitGroup
	reader.Add(1)
	go func() {
		defer reader.Done()
		io.Copy(io.Discard, stream)
	}()
	for number := 0; number < messages; number++ {
		io.WriteString(stream, message(connection, number, 1+(number*7+connection)%blocks))
	}
	stream.(*net.TCPConn).CloseWrite()
	reader.Wait()
}

func main() {
	number := func(word string) int {
		value, err := strconv.Atoi(word)
		if err != nil {
			panic(err)
		}
		return value
	}
	address := net.JoinHostPort(os.Args[2], os.Args[3])
	connections, messages, blocks := number(os.Args[4]), number(os.Args[5]), number(os.Args[6])
	var all sync.WaitGroup
	room := make(chan struct{}, 20)
	for connection := 0; connection < connections; connection++ {
		all.Add(1)
		room <- struct{}{}
		go func(connection int) {
			defer all.Done()
			talk(address, connection, messages, blocks)
			<-room
		}(connection)
	}
	all.Wait()
}
