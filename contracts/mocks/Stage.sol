// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { Actor } from "./Actor.sol";

/// @notice Plays long histories of several owners in one transaction, so that tests can play very many of them.
contract Stage {
    /// @param actor Index of who makes the call.
    struct Step {
        uint256 actor;
        address target;
        bytes data;
    }

    /// @notice How a step ended; `result` is what it returned or reverted with.
    event Played(bool ok, bytes result);

    Actor[] public actors;

    constructor(uint256 count) {
        for (uint256 i = 0; i < count; ++i) actors.push(new Actor());
    }

    /// @notice Makes every call, whether or not others fail.
    function play(Step[] calldata steps) external {
        for (uint256 i = 0; i < steps.length; ++i) {
            (bool ok, bytes memory result) = actors[steps[i].actor].act(steps[i].target, steps[i].data);
            emit Played(ok, result);
        }
    }

    /// @notice Reads, all of which must succeed.
    function read(address target, bytes[] calldata calls) external view returns (bytes[] memory results) {
        results = new bytes[](calls.length);
        for (uint256 i = 0; i < calls.length; ++i) {
            bool ok;
            (ok, results[i]) = target.staticcall(calls[i]);
            assert(ok);
        }
    }
}
