package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"golang.org/x/crypto/ssh"
)

func main() {
	host, port, login, cipher, key, rekey := os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5], os.Args[6]
	config := &ssh.ClientConfig{User: "tester", HostKeyCallback: ssh.InsecureIgnoreHostKey()}
	config.RekeyThreshold, _ = strconv.ParseUint(rekey, 10, 64)
	if cipher != "" {
		config.Ciphers = []string{cipher}
	}
	switch login {
	case "password":
		config.Auth = []ssh.AuthMethod{ssh.Password("secret")}
	case "publickey":
		text, err := os.ReadFile(key)
		check(err)
		signer, err := ssh.ParsePrivateKey(text)
		check(err)
		config.Auth = []ssh.AuthMethod{ssh.PublicKeys(signer)}
	case "keyboard-interactive":
		config.Auth = []ssh.AuthMethod{ssh.KeyboardInteractive(func(n, i string, questions []string, e []bool) ([]string, error) {
			answers := make([]string, len(questions))
			for at := range answers {
				answers[at] = "secret"
			}
			return answers, nil
		})}
	}
	client, err := ssh.Dial("tcp", host+":"+port, config)
	if err != nil && cipher == "aes256-gcm@openssh.com" { // the library drops what it does not know, without a word
		os.Exit(77)
	}
	check(err)
	command, count := os.Getenv("COMMAND"), 1
	if command == "" {
		command = "cat"
	}
	if asked, err := strconv.Atoi(os.Getenv("CHANNELS")); err == nil {
		count = asked
	}
	if trips, err := strconv.Atoi(os.Getenv("PING")); err == nil {
		ping(client, command, trips)
		return
	}
	data, err := io.ReadAll(os.Stdin)
	check(err)
	sessions, outputs := make([]*ssh.Session, count), make([]bytes.Buffer, count)
	for at := range sessions {
		sessions[at], err = client.NewSession()
		check(err)
		sessions[at].Stdin = bytes.NewReader(data)
		sessions[at].Stdout = &outputs[at]
		if count == 1 {
			sessions[at].Stdout = os.Stdout
		}
		check(sessions[at].Start(command))
	}
	for at := range sessions {
		err = sessions[at].Wait()
		os.Stdout.Write(outputs[at].Bytes())
		if status, is := err.(*ssh.ExitError); is {
			os.Exit(status.ExitStatus())
		}
		check(err)
	}
}

func ping(client *ssh.Client, command string, trips int) {
	session, err := client.NewSession()
	check(err)
	in, err := session.StdinPipe()
	check(err)
	out, err := session.StdoutPipe()
	check(err)
	check(session.Start(command))
	message, began := make([]byte, 64), time.Now()
	for ; trips > 0; trips-- {
		_, err = in.Write(message)
		check(err)
		_, err = io.ReadFull(out, message)
		check(err)
	}
	fmt.Println(time.Since(began).Microseconds())
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
