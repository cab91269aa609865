// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { IAggregatorV3 } from "../interfaces/external/IAggregatorV3.sol";

/// @notice A price feed with phases whose rounds anybody can write: for tests and for the laptop multiverse. Like
/// Chainlink's newer feeds it returns zeros for a round it does not have; `setReverting` makes it revert as older ones do.
contract MockAggregator is IAggregatorV3 {
    error NoData(uint80 roundId);

    struct Round {
        int256 answer;
        uint256 updatedAt;
    }

    mapping(uint80 id => Round) private _rounds;
    uint16 private _phase = 1;
    uint64 private _last;
    bool private _isReverting;

    /// @notice Writes the current phase's next round. An `updatedAt` of 0 leaves it incomplete.
    function push(int256 answer, uint256 updatedAt) external returns (uint80 id) {
        ++_last;
        id = (uint80(_phase) << 64) | _last;
        _rounds[id] = Round(answer, updatedAt);
    }

    /// @notice Begins the next phase, whose rounds count from 1 again.
    function nextPhase() external returns (uint16) {
        _last = 0;
        return ++_phase;
    }

    function setReverting(bool isReverting) external {
        _isReverting = isReverting;
    }

    /// @notice The newest round of the current phase, as Chainlink's proxies give it.
    function latestRoundData()
        external
        view
        returns (uint80 roundId, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound)
    {
        uint80 id = (uint80(_phase) << 64) | _last;
        Round memory round = _rounds[id];
        return (id, round.answer, round.updatedAt, round.updatedAt, id);
    }

    /// @inheritdoc IAggregatorV3
    function getRoundData(
        uint80 id
    )
        external
        view
        returns (uint80 roundId, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound)
    {
        Round memory round = _rounds[id];
        if (_isReverting && round.updatedAt == 0) revert NoData(id);
        return (id, round.answer, round.updatedAt, round.updatedAt, id);
    }
}
