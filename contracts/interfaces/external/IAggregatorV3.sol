// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title A Chainlink price feed's proxy
/// @notice Only what is used here. Round ids are `phase << 64 | round of that phase's aggregator`.
interface IAggregatorV3 {
    /// @notice One round. Feeds of different ages revert or return zeros where there is none.
    /// @return roundId The id asked for.
    /// @return answer The price, in the feed's own decimals.
    /// @return startedAt Unix time in seconds.
    /// @return updatedAt Unix time in seconds at which the answer was written; 0 while the round is incomplete.
    /// @return answeredInRound Deprecated by Chainlink.
    function getRoundData(
        uint80 id
    )
        external
        view
        returns (uint80 roundId, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound);
}
