// An echo server on golang.org/x/crypto/ssh.
package main

import (
	"bytes"
	"errors"
	"io"
	"log"
	"net"
	"os"

	"golang.org/x/crypto/ssh"
)

func main() {
	portFile, hostKey, clientKey := os.Args[1], os.Args[2], os.Args[3]
	signer, err := ssh.ParsePrivateKey(read(hostKey))
	check(err)
	known, _, _, _, err := ssh.ParseAuthorizedKey(read(clientKey))
	check(err)
	config := &ssh.ServerConfig{
		NoClientAuth: true,
		PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if bytes.Equal(key.Marshal(), known.Marshal()) {
				return nil, nil
			}
			return nil, errors.New("unknown key")
		},
	}
	config.AddHostKey(signer)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	check(os.WriteFile(portFile+".new", []byte(listener.Addr().String()+"\n"), 0o644))
	check(os.Rename(portFile+".new", portFile))
	for {
		connection, err := listener.Accept()
		check(err)
		go serve(connection, config)
	}
}

func serve(connection net.Conn, config *ssh.ServerConfig) {
	_, channels, requests, err := ssh.NewServerConn(connection, config)
	if err != nil {
		connection.Close()
		return
	}
	go ssh.DiscardRequests(requests)
	for asked := range channels {
		if asked.ChannelType() != "session" {
			asked.Reject(ssh.UnknownChannelType, "session alone")
			continue
		}
		if channel, requests, err := asked.Accept(); err == nil {
			go echo(channel, requests)
		}
	}
}

func echo(channel ssh.Channel, requests <-chan *ssh.Request) {
	for request := range requests {
		request.Reply(true, nil)
		if request.Type == "shell" || request.Type == "exec" {
			go ssh.DiscardRequests(requests)
			io.CopyBuffer(struct{ io.Writer }{channel}, struct{ io.Reader }{channel}, make([]byte, 32768))
			channel.SendRequest("exit-status", false, []byte{0, 0, 0, 0})
			channel.Close()
			return
		}
	}
}

func read(path string) []byte {
	text, err := os.ReadFile(path)
	check(err)
	return text
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
