package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strconv"

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
	session, err := client.NewSession()
	check(err)
	data, err := io.ReadAll(os.Stdin)
	check(err)
	session.Stdin = bytes.NewReader(data)
	session.Stdout = os.Stdout
	check(session.Run("cat"))
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
