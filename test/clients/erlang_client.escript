#!/usr/bin/env escript
main([Host, Port, Login, Cipher, Key, Rekey]) ->
    logger:set_primary_config(level, none), % its reports go to standard output
    {ok, _} = application:ensure_all_started(ssh),
    io:setopts(standard_io, [binary, {encoding, latin1}]),
    Name = list_to_atom(Cipher),
    Known = lists:append([element(2, E) || {cipher, Es} <- ssh:default_algorithms(), E <- Es]),
    Cipher =:= "" orelse lists:member(Name, Known) orelse halt(77),

    Methods = [{preferred_algorithms, [{cipher, [Name]}]} || Cipher =/= ""],
    Limit = [{rekey_limit, {infinity, list_to_integer(Rekey)}} || Rekey =/= "0"],
    {ok, C} = ssh:connect(Host, list_to_integer(Port),
        [{silently_accept_hosts, true}, {save_accepted_host, false}, {user, "tester"}, {password, "secret"},
         {user_interaction, false}, {user_dir, filename:dirname(Key)},
         {auth_methods, case Login of "none" -> "password"; _ -> Login end}] ++ Methods ++ Limit, 20000),
    {ok, Channel} = ssh_connection:session_channel(C, 20000),
    success = ssh_connection:exec(C, Channel, "cat", 20000),
    Me = self(),
    spawn_link(fun() -> ok = ssh_connection:send(C, Channel, read([]), 30000), ok = ssh_connection:send_eof(C, Channel), Me ! sent end),
    halt(loop(C, 1)).

read(Got) -> case file:read(standard_io, 65536) of {ok, More} -> read([Got, More]); eof -> iolist_to_binary(Got) end.

loop(C, Status) ->
    receive
        sent -> loop(C, Status);
        {ssh_cm, C, {data, Channel, _, Data}} ->
            file:write(standard_io, Data), ssh_connection:adjust_window(C, Channel, byte_size(Data)), loop(C, Status);
        {ssh_cm, C, {exit_status, _, New}} -> loop(C, New);
        {ssh_cm, C, {closed, _}} -> Status;
        {ssh_cm, C, _} -> loop(C, Status)
    after 30000 -> 3
    end.
